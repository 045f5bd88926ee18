/*
 * vector - loops that the compiler turns into vector instructions.
 *
 * VECTOR_CLONES before a function: it is compiled for AVX2 too, and the
 * loader takes what the machine has.  Not under the sanitizers, which are
 * not up yet when the loader asks.
 */
#ifndef CAIRN_ENGINE_VECTOR_H
#define CAIRN_ENGINE_VECTOR_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&         \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define VECTOR_CLONES                                                          \
    __attribute__((target_clones("arch=x86-64-v3", "default"), noinline))
#else
#define VECTOR_CLONES
#endif

#endif
