# SPDX-License-Identifier: Apache-2.0
"""What the comparison tests share: processes, ports, certificates, deployments, recorded results."""
