#ifndef KLD_COMPAT_H
#define KLD_COMPAT_H
#include <features.h>
#endif
