/*
 * Defaults of the sanitizers, linked into every program of `make asan`: daemons start with a clean
 * environment. Leaks are looked for in unit tests only (tests/run): the search needs ptrace, which
 * a confined process has not.
 */
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

__attribute__((visibility("default"))) const char *
__asan_default_options(void)
{
	return "detect_leaks=0:abort_on_error=1";
}

__attribute__((visibility("default"))) const char *
__ubsan_default_options(void)
{
	return "print_stacktrace=1:abort_on_error=1";
}
