// The static Swift library asks for hypot and hypotf of glibc 2.35, whose only change is how they report range errors.
// These hidden ones forward to the versions every glibc has, so that the tools start on EL9 (glibc 2.34) too.
#define _GNU_SOURCE
#include "compat.h"

#include <elf.h>
#include <link.h>
#include <string.h>

struct wanted {
    unsigned char *into;
    size_t room, length;
};

// Source: dl_iterate_phdr(3), elf(5). The first object is the program itself.
static int find_build_id(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size;
    struct wanted *wanted = data;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_NOTE) continue;
        const char *note = (const char *)(info->dlpi_addr + header->p_vaddr);
        const char *end = note + header->p_memsz;
        while (note + sizeof(ElfW(Nhdr)) <= end) {
            const ElfW(Nhdr) *entry = (const ElfW(Nhdr) *)note;
            const char *name = note + sizeof *entry;
            const char *content = name + ((entry->n_namesz + 3) & ~3u);
            if (entry->n_type == NT_GNU_BUILD_ID && entry->n_namesz == 4 && memcmp(name, "GNU", 4) == 0) {
                wanted->length = entry->n_descsz < wanted->room ? entry->n_descsz : wanted->room;
                memcpy(wanted->into, content, wanted->length);
                return 1;
            }
            note = content + ((entry->n_descsz + 3) & ~3u);
        }
    }
    return 1;
}

size_t kld_build_id(unsigned char *into, size_t room) {
    struct wanted wanted = {into, room, 0};
    dl_iterate_phdr(find_build_id, &wanted);
    return wanted.length;
}

#if defined(__x86_64__) && defined(__GLIBC__)
extern double kld_hypot_old(double, double);
extern float kld_hypotf_old(float, float);
__asm__(".symver kld_hypot_old,hypot@GLIBC_2.2.5");
__asm__(".symver kld_hypotf_old,hypotf@GLIBC_2.2.5");

__attribute__((visibility("hidden"))) double hypot(double x, double y) { return kld_hypot_old(x, y); }
__attribute__((visibility("hidden"))) float hypotf(float x, float y) { return kld_hypotf_old(x, y); }
#endif
