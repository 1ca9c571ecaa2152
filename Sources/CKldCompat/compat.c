// The static Swift library asks for hypot and hypotf of glibc 2.35, whose only change is how they report range errors.
// These hidden ones forward to the versions every glibc has, so that the tools start on EL9 (glibc 2.34) too.
#include "compat.h"

#if defined(__x86_64__) && defined(__GLIBC__)
extern double kld_hypot_old(double, double);
extern float kld_hypotf_old(float, float);
__asm__(".symver kld_hypot_old,hypot@GLIBC_2.2.5");
__asm__(".symver kld_hypotf_old,hypotf@GLIBC_2.2.5");

__attribute__((visibility("hidden"))) double hypot(double x, double y) { return kld_hypot_old(x, y); }
__attribute__((visibility("hidden"))) float hypotf(float x, float y) { return kld_hypotf_old(x, y); }
#endif
