# SPDX-License-Identifier: GPL-2.0-only
# The devices of the arm64 test machine; nothing else is built.
CONFIG_ARM_VIRT=y
CONFIG_PCIE_PORT=y
CONFIG_PXB=y
CONFIG_CXL=y
CONFIG_CXL_MEM_DEVICE=y
CONFIG_SVA_DMA=y
