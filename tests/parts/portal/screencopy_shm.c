/* xdg-desktop-portal-wlr 0.7 casts only where the compositor offers DMA-BUF, which software rendering has not. Preloaded
 * into it, this names a DMA-BUF format with each frame; the frames themselves go through shared memory all the same. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

typedef void (*on_buffer)(void *data, void *frame, uint32_t format, uint32_t width, uint32_t height, uint32_t stride);
typedef void (*on_dmabuf)(void *data, void *frame, uint32_t format, uint32_t width, uint32_t height);
typedef int (*add_listener)(void *proxy, void (**listener)(void), void *data);
typedef const char *(*class_of)(void *proxy);

static struct {
    on_buffer buffer;
    void (*others[4])(void);
    on_dmabuf dmabuf;
    void (*done)(void);
} theirs, ours;

static void buffer(void *data, void *frame, uint32_t format, uint32_t width, uint32_t height, uint32_t stride) {
    theirs.dmabuf(data, frame, 0x34325258 /* XRGB8888 */, width, height);
    theirs.buffer(data, frame, format, width, height, stride);
}

int wl_proxy_add_listener(void *proxy, void (**listener)(void), void *data) {
    add_listener next = (add_listener)dlsym(RTLD_NEXT, "wl_proxy_add_listener");
    class_of name = (class_of)dlsym(RTLD_DEFAULT, "wl_proxy_get_class");
    if (!strcmp(name(proxy), "zwlr_screencopy_frame_v1")) {
        memcpy(&theirs, listener, sizeof theirs);
        ours = theirs;
        ours.buffer = buffer;
        listener = (void (**)(void))&ours;
    }
    return next(proxy, listener, data);
}
