/*
 * target - what every fuzz target gives to its driver.
 *
 * Shape    one function, by libFuzzer's name and contract: any bytes, 0; it
 *          aborts (rh_assert, a sanitizer) where a rule is broken
 * Owner    replay.c runs it over the files of a folder, as a test; libFuzzer
 *          makes up bytes of its own (README.md)
 */
#ifndef TESTS_FUZZ_TARGET_H
#define TESTS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#endif
