# GNU make. `make`, `make install`, `make check`, `make demo`, `make lint`, `make asan`, `make bench`.
# Everything built goes to $(BUILD), which may lie anywhere; nothing is written elsewhere.

VERSION := 0.1.0

BUILD ?= build
prefix ?= /usr
bindir ?= $(prefix)/bin
sbindir ?= $(prefix)/sbin
libexecdir ?= $(prefix)/libexec/scarab-runtime
sysconfdir ?= /etc/scarab-runtime
mandir ?= $(prefix)/share/man
docdir ?= $(prefix)/share/doc/scarab-runtime
datadir ?= $(prefix)/share/scarab-runtime
unitdir ?= $(prefix)/lib/systemd/system
DESTDIR ?=

CC ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
AR ?= ar
PKG_CONFIG ?= pkg-config
INSTALL ?= install

# What is linked, and the Debian package that brings it.
LIBRARIES := yaml-0.1 libcjson libcap libseccomp libsodium sqlite3 check
PACKAGES := build-essential pkg-config libyaml-dev libcjson-dev libcap-dev libseccomp-dev \
	libsodium-dev libsqlite3-dev check

ifneq ($(filter-out clean packages lint-packages,$(or $(MAKECMDGOALS),all)),)
ifneq ($(shell $(PKG_CONFIG) --exists $(LIBRARIES) 2>/dev/null && echo found),found)
$(error Packages are missing. Install them with: apt-get install $(PACKAGES))
endif
endif

SANITIZE ?=
ifeq ($(SANITIZE),)
HARDEN := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fcf-protection=full
OPTIMIZE ?= -O2 -g
else
HARDEN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
OPTIMIZE ?= -O1 -g
endif

WARN := -Wall -Wextra -Wshadow -Wconversion -Werror
# Static helpers are built without sanitizers: their runtime does not link statically.
CFLAGS_COMMON = -std=gnu17 -D_GNU_SOURCE $(WARN) $(OPTIMIZE) -fPIE -fvisibility=hidden \
	-I. -I$(BUILD)/gen -DSCARAB_VERSION='"$(VERSION)"' -DSCARAB_LIBEXECDIR='"$(libexecdir)"' \
	-DSCARAB_SYSCONFDIR='"$(sysconfdir)"' $(CFLAGS)
LDFLAGS_COMMON = -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed -Wl,--gc-sections $(LDFLAGS)
HARDEN_STATIC := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fcf-protection=full

# --- programs: NAME_SRC is what it is made of, NAME_LIBS what it links -------------------------
DYNAMIC := agentd agentd-control agentd-config schedd secretd runnerd ash
STATIC := spawner keeper init hold

agentd_SRC := $(wildcard agentd/*.c)
agentd-control_SRC := $(wildcard agentd/control/*.c)
agentd-config_SRC := $(wildcard agentd/config/*.c)
schedd_SRC := $(wildcard schedd/*.c)
secretd_SRC := $(wildcard secretd/*.c)
runnerd_SRC := $(wildcard runnerd/*.c runnerd/steps/*.c)
ash_SRC := $(wildcard ash/*.c)
spawner_SRC := $(wildcard runnerd/sandbox/spawner*.c)
keeper_SRC := $(wildcard runnerd/keeper/*.c runnerd/sandbox/builder*.c)
init_SRC := $(wildcard runnerd/sandbox/init*.c)
hold_SRC := $(wildcard runnerd/hold/*.c)

agentd_LIBS := libcap libseccomp
agentd-control_LIBS := libcap libseccomp yaml-0.1
agentd-config_LIBS := libcap libseccomp yaml-0.1
schedd_LIBS := libcap libseccomp sqlite3
secretd_LIBS := libcap libseccomp libsodium
runnerd_LIBS := libcap libseccomp
ash_LIBS := yaml-0.1 libcjson
spawner_LIBS := libcap
keeper_LIBS := libcap
init_LIBS := libcap
hold_LIBS :=

COMMON_SRC := $(wildcard common/*.c)
UNIT_TESTS := $(wildcard tests/unit/test_*.c)
FUZZ_TESTS := $(wildcard tests/fuzz/fuzz_*.c)

OBJ := $(BUILD)/obj
OBJ_STATIC := $(BUILD)/obj-static
COMMON_OBJ := $(COMMON_SRC:%.c=$(OBJ)/%.o)
COMMON_OBJ_STATIC := $(COMMON_SRC:%.c=$(OBJ_STATIC)/%.o)
PROGRAMS := $(addprefix $(BUILD)/,$(DYNAMIC) $(STATIC))
TEST_PROGRAMS := $(UNIT_TESTS:tests/unit/%.c=$(BUILD)/tests/%) $(FUZZ_TESTS:tests/fuzz/%.c=$(BUILD)/tests/%)

.PHONY: all
all: $(PROGRAMS)

# --- the build id: equal only where every source is equal -------------------------------------
SOURCES := $(sort $(wildcard common/*.[ch] common/*.def */*.[ch] */*/*.[ch]))
BUILD_ID := $(shell cat $(SOURCES) /dev/null | sha256sum | cut -c1-32)
$(BUILD)/gen/build-id.h: FORCE
	@mkdir -p $(@D)
	@printf '#define SCARAB_BUILD_ID "%s"\n' '$(BUILD_ID)' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
.PHONY: FORCE
FORCE:

# --- compile and link ---------------------------------------------------------------------------
$(OBJ)/%.o: %.c | $(BUILD)/gen/build-id.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_COMMON) $(HARDEN) $(shell $(PKG_CONFIG) --cflags libcjson) -MMD -MP -c -o $@ $<
$(OBJ_STATIC)/%.o: %.c | $(BUILD)/gen/build-id.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_COMMON) $(HARDEN_STATIC) -ffunction-sections -fdata-sections $(shell $(PKG_CONFIG) --cflags libcjson) -MMD -MP -c -o $@ $<
$(OBJ)/common/version.o $(OBJ_STATIC)/common/version.o: $(BUILD)/gen/build-id.h

$(BUILD)/libcommon.a: $(COMMON_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^
$(BUILD)/libcommon-static.a: $(COMMON_OBJ_STATIC)
	@rm -f $@
	$(AR) rcs $@ $^

define dynamic_program
$(BUILD)/$(1): $$($(1)_SRC:%.c=$$(OBJ)/%.o) $(BUILD)/libcommon.a
	$$(CC) $$(LDFLAGS_COMMON) $$(HARDEN) -o $$@ $$^ $$(shell $$(PKG_CONFIG) --libs $$($(1)_LIBS)) -lm
endef
define static_program
$(BUILD)/$(1): $$($(1)_SRC:%.c=$$(OBJ_STATIC)/%.o) $(BUILD)/libcommon-static.a
	$$(CC) $$(LDFLAGS_COMMON) $$(HARDEN_STATIC) -static-pie -o $$@ $$^ $$(if $$($(1)_LIBS),$$(shell $$(PKG_CONFIG) --static --libs $$($(1)_LIBS)))
endef
$(foreach p,$(DYNAMIC),$(eval $(call dynamic_program,$(p))))
$(foreach p,$(STATIC),$(eval $(call static_program,$(p))))

# --- tests: tests/unit/test_X.c links with the modules it names in a line `// with: FILE…` --------
TEST_LIBS := check libcap libseccomp yaml-0.1 libcjson libsodium sqlite3
define test_program
$(BUILD)/tests/$(notdir $(basename $(1))): $(OBJ)/$(basename $(1)).o \
		$(patsubst %.c,$(OBJ)/%.o,$(shell sed -n 's,^// with: ,,p' $(1))) $(BUILD)/libcommon.a
	@mkdir -p $$(@D)
	$$(CC) $$(LDFLAGS_COMMON) $$(HARDEN) -o $$@ $$^ $$(shell $$(PKG_CONFIG) --libs $$(TEST_LIBS)) -lm
endef
$(foreach t,$(UNIT_TESTS) $(FUZZ_TESTS),$(eval $(call test_program,$(t))))

.PHONY: tests
tests: $(TEST_PROGRAMS)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

.PHONY: packages
packages:
	@echo $(PACKAGES)

.PHONY: clean
clean:
	rm -rf $(BUILD)
