/* SPDX-License-Identifier: Apache-2.0 */
/* The command-line roles for people: `moulin admin` (deploy and inspect) and `moulin client` (check the door from
   outside). Both return an exit status and print errors on stderr as "error: …". */
#ifndef MOULIN_ADMIN_ADMIN_H
#define MOULIN_ADMIN_ADMIN_H

int adm_admin_main(int argc, char **argv);
int adm_client_main(int argc, char **argv);
int adm_gateway_main(int argc, char **argv); /* `moulin gateway sessions` */

#endif
