# SPDX-License-Identifier: Apache-2.0
"""The client scripts. Each has plan(), which yields (group, setup(flavour) -> Deployment, [case(deployment, recorder)])."""
