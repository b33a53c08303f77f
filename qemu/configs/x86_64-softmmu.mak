# SPDX-License-Identifier: GPL-2.0-only
# The devices of the x86_64 test machine; nothing else is built.
CONFIG_Q35=y
CONFIG_VTD=y
CONFIG_AMD_IOMMU=y
CONFIG_PCIE_PORT=y
# The ACPI tables do not link without these.
CONFIG_PXB=y
CONFIG_CXL=y
CONFIG_CXL_MEM_DEVICE=y
CONFIG_SERIAL_ISA=y
CONFIG_ISA_DEBUG=y
CONFIG_SVA_DMA=y
