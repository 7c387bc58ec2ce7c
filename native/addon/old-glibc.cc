// Only in prebuilt binaries (CMakeLists.txt): what the linker would bind to a glibc newer than 2.28, which Node itself
// asks for. The functions are the same ones as ever; glibc 2.32 and 2.34 moved them from libpthread to libc, and gave
// them a new version each. So the old version is named here, and the linker's --wrap leads all calls to it, the C++
// library's as well.
#include <pthread.h>
#include <csignal>

#if defined(__x86_64__)
#define BASE "GLIBC_2.2.5"
#define SETNAME "GLIBC_2.12"
#elif defined(__aarch64__)
#define BASE "GLIBC_2.17"
#define SETNAME "GLIBC_2.17"
#elif defined(__arm__)
#define BASE "GLIBC_2.4"
#define SETNAME "GLIBC_2.12"
#else
#error "no glibc versions are known for this processor"
#endif

extern "C" {

__asm__(".symver old_create, pthread_create@" BASE);
__asm__(".symver old_join, pthread_join@" BASE);
__asm__(".symver old_sigmask, pthread_sigmask@" BASE);
__asm__(".symver old_setname, pthread_setname_np@" SETNAME);

int old_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
int old_join(pthread_t, void**);
int old_sigmask(int, const sigset_t*, sigset_t*);
int old_setname(pthread_t, const char*);

int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument) {
  return old_create(thread, attributes, run, argument);
}
int __wrap_pthread_join(pthread_t thread, void** result) { return old_join(thread, result); }
int __wrap_pthread_sigmask(int how, const sigset_t* set, sigset_t* before) { return old_sigmask(how, set, before); }
int __wrap_pthread_setname_np(pthread_t thread, const char* name) { return old_setname(thread, name); }

/** Of glibc 2.32: whether the C++ library may count references without atomics. It may not: Node has threads. */
extern char __libc_single_threaded;
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;
}
