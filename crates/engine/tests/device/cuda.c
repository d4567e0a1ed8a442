/*
 * The driver of a graphics card that this machine does not have, for tests: as much of libcuda and libnvcuvid as libav calls, in one
 * library. So its decoding on devices runs as it does with a card, up to the pictures themselves, which are gray here.
 *
 * What it does is in the environment, as RUSHLIGHT_CUDA:
 *
 *   works      it decodes H.264 of 8 bits, 4:2:0
 *   lost:N     the card is gone after N pictures
 *   closed     it does not open
 *   free       it does not open where it could read its own program file or reach a network
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SUCCESS = 0, OUT_OF_MEMORY = 2, NO_DEVICE = 100, UNSUPPORTED = 801, LAUNCH_FAILED = 719, UNKNOWN = 999 };

/* CUDA_MEMCPY2D of the driver interface. "Device" memory is that of the process here. */
struct copy {
    size_t src_x, src_y;
    int src_type;
    const void *src_host;
    uintptr_t src_device;
    void *src_array;
    size_t src_pitch;
    size_t dst_x, dst_y;
    int dst_type;
    void *dst_host;
    uintptr_t dst_device;
    void *dst_array;
    size_t dst_pitch;
    size_t width, height;
};

/* CUVIDDECODECAPS. */
struct caps {
    int codec, chroma;
    unsigned depth_minus8, reserved1[3];
    unsigned char is_supported, reserved2[3];
    unsigned width_max, height_max, blocks_max;
    unsigned short width_min, height_min;
    unsigned reserved3[11];
};

/* The beginning of CUVIDDECODECREATEINFO. */
struct create {
    unsigned long width, height, surfaces;
};

/* The beginning of CUVIDPICPARAMS. */
struct picture {
    int width_blocks, height_blocks, index;
};

struct decoder {
    size_t pitch, height, surfaces;
    uint8_t *memory;
};

static unsigned pictures;

static const char *behaviour(void) {
    const char *said = getenv("RUSHLIGHT_CUDA");
    return said ? said : "works";
}

static int is_lost(void) {
    unsigned after;
    return sscanf(behaviour(), "lost:%u", &after) == 1 && pictures >= after;
}

int cuInit(unsigned flags) {
    (void)flags;
    if (strcmp(behaviour(), "free") == 0) {
        int file = open(getenv("RUSHLIGHT_CUDA_SECRET"), O_RDONLY);
        int far = socket(AF_INET, SOCK_STREAM, 0);
        /* The kernel looks at the lower half of it only. */
        long hidden = syscall(SYS_socket, (1L << 32) | AF_INET, SOCK_STREAM, 0);
        int rare = socket(AF_ALG, SOCK_SEQPACKET, 0);
        int near = socket(AF_UNIX, SOCK_STREAM, 0);
        if (file >= 0 || far >= 0 || hidden >= 0 || rare >= 0 || near < 0)
            return UNKNOWN;
        close(near);
    }
    return strcmp(behaviour(), "closed") == 0 ? NO_DEVICE : SUCCESS;
}

int cuDeviceGetCount(int *count) { *count = 1; return SUCCESS; }
int cuDeviceGet(int *device, int index) { *device = index; return SUCCESS; }
int cuDeviceGetAttribute(int *value, int which, int device) { (void)which; (void)device; *value = 256; return SUCCESS; }
int cuCtxCreate_v2(void **context, unsigned flags, int device) { (void)flags; (void)device; *context = &pictures; return SUCCESS; }
int cuCtxDestroy_v2(void *context) { (void)context; return SUCCESS; }
int cuCtxPushCurrent_v2(void *context) { (void)context; return SUCCESS; }
int cuCtxPopCurrent_v2(void **context) { if (context) *context = &pictures; return SUCCESS; }
int cuCtxGetDevice(int *device) { *device = 0; return SUCCESS; }
int cuDevicePrimaryCtxRetain(void **context, int device) { (void)device; *context = &pictures; return SUCCESS; }
int cuDevicePrimaryCtxRelease(int device) { (void)device; return SUCCESS; }
int cuDevicePrimaryCtxSetFlags(int device, unsigned flags) { (void)device; (void)flags; return SUCCESS; }
int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *active) { (void)device; *flags = 0; *active = 0; return SUCCESS; }
int cuStreamSynchronize(void *stream) { (void)stream; return SUCCESS; }
int cuGetErrorName(int error, const char **name) { (void)error; *name = "ERROR_OF_TEST"; return SUCCESS; }
int cuGetErrorString(int error, const char **text) { (void)error; *text = "an error of the test"; return SUCCESS; }

int cuMemcpy2DAsync_v2(const struct copy *copy, void *stream) {
    (void)stream;
    for (size_t row = 0; row < copy->height; row++)
        memcpy((uint8_t *)copy->dst_host + row * copy->dst_pitch,
               (const uint8_t *)copy->src_device + row * copy->src_pitch, copy->width);
    return SUCCESS;
}
int cuMemcpy2D_v2(const struct copy *copy) { return cuMemcpy2DAsync_v2(copy, NULL); }

int cuvidGetDecoderCaps(struct caps *caps) {
    enum { H264 = 4, YUV420 = 1 };
    caps->is_supported = caps->codec == H264 && caps->chroma == YUV420 && caps->depth_minus8 == 0;
    caps->width_max = caps->height_max = 4096;
    caps->blocks_max = 65536;
    caps->width_min = caps->height_min = 48;
    return SUCCESS;
}

int cuvidCreateDecoder(void **out, const struct create *info) {
    struct decoder *decoder = malloc(sizeof *decoder);
    if (!decoder)
        return OUT_OF_MEMORY;
    /* Rows are longer than pictures, as they are there. */
    decoder->pitch = (info->width + 255) / 256 * 256 + 256;
    decoder->height = info->height;
    decoder->surfaces = info->surfaces;
    size_t bytes = decoder->pitch * decoder->height * 3 / 2 * decoder->surfaces;
    decoder->memory = malloc(bytes);
    if (!decoder->memory)
        return OUT_OF_MEMORY;
    memset(decoder->memory, 128, bytes);
    *out = decoder;
    return SUCCESS;
}

int cuvidDestroyDecoder(void *pointer) {
    struct decoder *decoder = pointer;
    free(decoder->memory);
    free(decoder);
    return SUCCESS;
}

int cuvidDecodePicture(void *pointer, const struct picture *picture) {
    struct decoder *decoder = pointer;
    if (is_lost() || picture->index < 0 || (size_t)picture->index >= decoder->surfaces)
        return LAUNCH_FAILED;
    pictures++;
    return SUCCESS;
}

int cuvidMapVideoFrame64(void *pointer, int index, uint64_t *memory, unsigned *pitch, void *how) {
    (void)how;
    struct decoder *decoder = pointer;
    if (is_lost() || index < 0 || (size_t)index >= decoder->surfaces)
        return LAUNCH_FAILED;
    *memory = (uintptr_t)(decoder->memory + decoder->pitch * decoder->height * 3 / 2 * (size_t)index);
    *pitch = (unsigned)decoder->pitch;
    return SUCCESS;
}
int cuvidUnmapVideoFrame64(void *pointer, uint64_t memory) { (void)pointer; (void)memory; return SUCCESS; }

/* What libav looks for and does not call to decode. */
#define UNUSED(name) int name(void) { return UNSUPPORTED; }
UNUSED(cuDeviceGetName) UNUSED(cuDeviceComputeCapability) UNUSED(cuCtxSetLimit) UNUSED(cuMemAlloc_v2)
UNUSED(cuMemAllocPitch_v2) UNUSED(cuMemAllocManaged) UNUSED(cuMemsetD8Async) UNUSED(cuMemFree_v2)
UNUSED(cuMemcpy) UNUSED(cuMemcpyAsync) UNUSED(cuMemcpyHtoD_v2) UNUSED(cuMemcpyHtoDAsync_v2)
UNUSED(cuMemcpyDtoH_v2) UNUSED(cuMemcpyDtoHAsync_v2) UNUSED(cuMemcpyDtoD_v2) UNUSED(cuMemcpyDtoDAsync_v2)
UNUSED(cuDevicePrimaryCtxReset) UNUSED(cuStreamCreate) UNUSED(cuStreamQuery) UNUSED(cuStreamDestroy_v2)
UNUSED(cuStreamAddCallback) UNUSED(cuEventCreate) UNUSED(cuEventDestroy_v2) UNUSED(cuEventSynchronize)
UNUSED(cuEventQuery) UNUSED(cuEventRecord) UNUSED(cuLaunchKernel) UNUSED(cuLinkCreate) UNUSED(cuLinkAddData)
UNUSED(cuLinkComplete) UNUSED(cuLinkDestroy) UNUSED(cuModuleLoadData) UNUSED(cuModuleUnload)
UNUSED(cuModuleGetFunction) UNUSED(cuModuleGetGlobal) UNUSED(cuTexObjectCreate) UNUSED(cuTexObjectDestroy)
UNUSED(cuGLGetDevices_v2) UNUSED(cuGraphicsGLRegisterImage) UNUSED(cuGraphicsUnregisterResource)
UNUSED(cuGraphicsMapResources) UNUSED(cuGraphicsUnmapResources) UNUSED(cuGraphicsSubResourceGetMappedArray)
UNUSED(cuGraphicsResourceGetMappedPointer_v2) UNUSED(cuArray3DCreate_v2) UNUSED(cuArrayDestroy)
UNUSED(cuEGLStreamProducerConnect) UNUSED(cuEGLStreamProducerDisconnect) UNUSED(cuEGLStreamConsumerDisconnect)
UNUSED(cuEGLStreamProducerPresentFrame) UNUSED(cuEGLStreamProducerReturnFrame)
UNUSED(cuvidGetDecodeStatus) UNUSED(cuvidReconfigureDecoder) UNUSED(cuvidCtxLockCreate) UNUSED(cuvidCtxLockDestroy)
UNUSED(cuvidCtxLock) UNUSED(cuvidCtxUnlock) UNUSED(cuvidCreateVideoSource) UNUSED(cuvidCreateVideoSourceW)
UNUSED(cuvidDestroyVideoSource) UNUSED(cuvidSetVideoSourceState) UNUSED(cuvidGetVideoSourceState)
UNUSED(cuvidGetSourceVideoFormat) UNUSED(cuvidGetSourceAudioFormat) UNUSED(cuvidCreateVideoParser)
UNUSED(cuvidParseVideoData) UNUSED(cuvidDestroyVideoParser)
