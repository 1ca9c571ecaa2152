#ifndef KLD_COMPAT_H
#define KLD_COMPAT_H
#include <features.h>
#include <stddef.h>

/// The identity that the linker gave this program (NT_GNU_BUILD_ID): a digest of what is in it.
/// Returns its length in bytes, 0 when there is none.
size_t kld_build_id(unsigned char *into, size_t room);
#endif
