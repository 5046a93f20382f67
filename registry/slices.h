/* SPDX-License-Identifier: Apache-2.0 */
/* The generated contracts the registry's core speaks. */
#ifndef REG_SLICES_H
#define REG_SLICES_H

#include <slice/IceGrid/Admin_rpc.h>
#include <slice/IceGrid/Descriptor_rpc.h>
#include <slice/IceGrid/Exception_rpc.h>
#include <slice/IceGrid/Internal_rpc.h>
#include <slice/IceGrid/Registry_rpc.h>
#include <slice/Ice/Locator_rpc.h>

#endif
