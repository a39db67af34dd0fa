// A libcuda for tests without a card: device memory is the host's, streams run at once, and of
// kernels it knows the two by name that test_on_gpu.py compiles. It shows that the real
// cuda-bindings take every argument that edgesam gives them; it says nothing about time.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <unistd.h>
#include <vector>

typedef int Code;
typedef uint64_t Pointer;
typedef void* Handle;

static std::recursive_mutex lock;
static std::map<uintptr_t, size_t> memory;
static std::vector<Handle> contexts;  // one stack for all threads: each call pops what it pushed
static Code broken = 0;

struct Function { std::string name; };
struct Event { bool timed; };
struct Stream { std::vector<std::function<Code()>>* captured = nullptr; };
struct Graph { std::vector<std::function<Code()>> work; };
static Stream standard;

static long setting(const char* name, long otherwise) {
  const char* text = getenv(name);
  return text ? atol(text) : otherwise;
}
static Stream& stream_of(Handle handle) {
  uintptr_t number = (uintptr_t)handle;
  return number <= 2 ? standard : *(Stream*)handle;
}
static Code give(Handle handle, std::function<Code()> work) {
  if (broken) return broken;
  if (contexts.empty()) return 201;
  Stream& stream = stream_of(handle);
  if (stream.captured) { stream.captured->push_back(work); return 0; }
  Code code = work();
  if (code) broken = code;
  return 0;
}

extern "C" {
Code cuGetErrorString(Code code, const char** text) {
  *text = code == 2 ? "out of memory" : code == 700 ? "an illegal memory access was encountered"
        : code == 100 ? "no CUDA-capable device is detected" : "some error";
  return 0;
}
Code cuGetErrorName(Code, const char** text) { *text = "CUDA_ERROR"; return 0; }
Code cuInit(unsigned) { return (Code)setting("STUB_INIT", 0); }
Code cuDriverGetVersion(int* version) { *version = (int)setting("STUB_VERSION", 13050); return 0; }
Code cuDeviceGetCount(int* count) { *count = (int)setting("STUB_DEVICES", 1); return 0; }
Code cuDeviceGet(int* device, int ordinal) { *device = ordinal; return 0; }
Code cuDeviceGetName(char* name, int length, int) { snprintf(name, length, "Stub"); return 0; }
Code cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 75 ? 9 : 0;  // compute capability 9.0
  return 0;
}
Code cuDevicePrimaryCtxRetain(Handle* context, int) { *context = (Handle)0x1234; return 0; }
Code cuDevicePrimaryCtxRelease_v2(int) { return 0; }
Code cuCtxPushCurrent_v2(Handle context) {
  std::lock_guard<std::recursive_mutex> guard(lock);
  contexts.push_back(context);
  return 0;
}
Code cuCtxPopCurrent_v2(Handle* context) {
  std::lock_guard<std::recursive_mutex> guard(lock);
  if (contexts.empty()) return 201;
  *context = contexts.back();
  contexts.pop_back();
  return 0;
}
Code cuCtxGetCurrent(Handle* context) {
  *context = contexts.empty() ? nullptr : contexts.back();
  return 0;
}
Code cuMemGetInfo_v2(size_t* free, size_t* total) { *total = 1 << 30; *free = 1 << 29; return 0; }
Code cuMemAlloc_v2(Pointer* pointer, size_t bytes) {
  std::lock_guard<std::recursive_mutex> guard(lock);
  if (broken) return broken;
  if (bytes > (1u << 29)) return 2;
  *pointer = (Pointer)malloc(bytes);
  memory[*pointer] = bytes;
  return 0;
}
Code cuMemFree_v2(Pointer pointer) {
  std::lock_guard<std::recursive_mutex> guard(lock);
  memory.erase(pointer);
  free((void*)pointer);
  return 0;
}
Code cuMemHostAlloc(void** pointer, size_t bytes, unsigned flags) {
  if (flags != 1) return 1;
  if (bytes > (1u << 29)) return 2;
  *pointer = malloc(bytes);
  return 0;
}
Code cuMemFreeHost(void* pointer) { free(pointer); return 0; }
Code cuStreamCreate(Handle* stream, unsigned flags) {
  if (flags != 1) return 1;
  *stream = new Stream;
  return 0;
}
Code cuStreamDestroy_v2(Handle stream) { delete (Stream*)stream; return 0; }
Code cuStreamSynchronize(Handle) { usleep(setting("STUB_SLEEP_US", 0)); return broken; }
Code cuStreamWaitEvent(Handle, Handle, unsigned) { return broken; }
Code cuEventCreate(Handle* event, unsigned flags) {
  if (flags != 0 && flags != 2) return 1;
  *event = new Event{flags == 0};
  return 0;
}
Code cuEventDestroy_v2(Handle event) { delete (Event*)event; return 0; }
Code cuEventRecord(Handle, Handle) { return broken; }
Code cuEventSynchronize(Handle) { return broken; }
Code cuEventQuery(Handle) { return broken; }
Code cuEventElapsedTime_v2(float* milliseconds, Handle a, Handle b) {
  if (!((Event*)a)->timed || !((Event*)b)->timed) return 400;
  *milliseconds = 1.5f;
  return 0;
}
Code cuMemcpyHtoDAsync_v2(Pointer to, const void* from, size_t bytes, Handle stream) {
  return give(stream, [=] { memcpy((void*)to, from, bytes); return 0; });
}
Code cuMemcpyDtoHAsync_v2(void* to, Pointer from, size_t bytes, Handle stream) {
  return give(stream, [=] { memcpy(to, (void*)from, bytes); return 0; });
}
Code cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t bytes, Handle stream) {
  return give(stream, [=] { memcpy((void*)to, (void*)from, bytes); return 0; });
}
Code cuMemsetD8Async(Pointer to, unsigned char value, size_t bytes, Handle stream) {
  return give(stream, [=] { memset((void*)to, value, bytes); return 0; });
}
Code cuModuleLoadData(Handle* module, const void* image) {
  if (memcmp(image, "\177ELF", 4)) return 200;  // a cubin is an ELF file
  *module = (Handle)0x77;
  return 0;
}
Code cuModuleUnload(Handle) { return 0; }
Code cuModuleGetFunction(Handle* function, Handle, const char* name) {
  if (strcmp(name, "add") && strcmp(name, "crash")) return 500;
  *function = new Function{name};
  return 0;
}
Code cuFuncSetAttribute(Handle, int attribute, int value) {
  return attribute == 8 && value > 48 * 1024 ? 0 : 1;
}
Code cuLaunchKernel(Handle function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                    unsigned by, unsigned bz, unsigned, Handle stream, void** given, void**) {
  if (!(gx && gy && gz && bx && by && bz)) return 1;
  std::string name = ((Function*)function)->name;
  if (name == "crash") return give(stream, [] { return 700; });
  float* values = *(float**)given[0];
  int n = *(int*)given[1];
  float amount = *(float*)given[2];
  return give(stream, [=] { for (int i = 0; i < n; i++) values[i] += amount; return 0; });
}
Code cuStreamBeginCapture_v2(Handle stream, int mode) {
  if (mode != 1 || (uintptr_t)stream <= 2) return 1;
  stream_of(stream).captured = new std::vector<std::function<Code()>>;
  return 0;
}
Code cuStreamEndCapture(Handle stream, Handle* graph) {
  Stream& there = stream_of(stream);
  *graph = new Graph{*there.captured};
  delete there.captured;
  there.captured = nullptr;
  return 0;
}
Code cuGraphInstantiateWithFlags(Handle* made, Handle graph, unsigned long long) {
  *made = new Graph(*(Graph*)graph);
  return 0;
}
Code cuGraphDestroy(Handle graph) { delete (Graph*)graph; return 0; }
Code cuGraphExecDestroy(Handle graph) { delete (Graph*)graph; return 0; }
Code cuGraphLaunch(Handle graph, Handle stream) {
  Code code = 0;
  for (auto& work : ((Graph*)graph)->work) code = code ? code : give(stream, work);
  return code;
}
// NVRTC looks for a table of the driver's that nobody documents; without one it does its own work.
Code cuGetExportTable(const void** table, const void*) { *table = nullptr; return 500; }
Code cuGetProcAddress_v2(const char* name, void** function, int, uint64_t, int* status);
}

#include <dlfcn.h>
Code cuGetProcAddress_v2(const char* name, void** function, int, uint64_t, int* status) {
  // Names come without their suffix; the newest that this file has is meant.
  static void* self = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  for (const char* end : {"_v2", ""}) {
    *function = dlsym(self, (std::string(name) + end).c_str());
    if (*function) break;
  }
  if (!*function && !strcmp(name, "cuGraphInstantiate"))
    *function = dlsym(self, "cuGraphInstantiateWithFlags");
  if (status) *status = *function ? 0 : 1;
  return *function ? 0 : 500;
}
