/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the table of changes that live in change_apps.c, and what the two halves share. */
#ifndef REG_CHANGE_OPS_H
#define REG_CHANGE_OPS_H

#include "change_priv.h"

int reg_aim_name(struct reg_change *c);
int reg_aim_app(struct reg_change *c);
int reg_prepare_app_add(struct reg *reg, struct reg_change *c, struct store_batch *b);
int reg_prepare_app_update(struct reg *reg, struct reg_change *c, struct store_batch *b);
int reg_prepare_app_sync(struct reg *reg, struct reg_change *c, struct store_batch *b);
int reg_prepare_app_remove(struct reg *reg, struct reg_change *c, struct store_batch *b);
int reg_prepare_app_put(struct reg *reg, struct reg_change *c, struct store_batch *b);
int reg_prepare_app_patch(struct reg *reg, struct reg_change *c, struct store_batch *b);
int reg_prepare_app_drop(struct reg *reg, struct reg_change *c, struct store_batch *b);
int reg_prepare_apps_init(struct reg *reg, struct reg_change *c, struct store_batch *b);
void reg_apply_app(struct reg *reg, struct reg_change *c);
void reg_apply_apps_init(struct reg *reg, struct reg_change *c);
void reg_apply_check(struct reg *reg, int rc); /* stops the process when rc is a failure */

#endif
