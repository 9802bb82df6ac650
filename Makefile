# GNU make. `make`, `make install`, `make demo`, `make check`, `make lint`, `make asan`,
# `make bench`; `make help` says what each does.
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
bashcompdir ?= $(prefix)/share/bash-completion/completions
zshcompdir ?= $(prefix)/share/zsh/vendor-completions
fishcompdir ?= $(prefix)/share/fish/vendor_completions.d
sysusersdir ?= $(prefix)/lib/sysusers.d
tmpfilesdir ?= $(prefix)/lib/tmpfiles.d
DESTDIR ?=

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(origin AR),default)
AR := gcc-ar
endif
PKG_CONFIG ?= pkg-config
INSTALL ?= install

SHELL := /bin/sh
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

# --- what must be installed -----------------------------------------------------------------
# Each library as pkg-config names it, and the Debian package that brings it.
LIBRARIES := yaml-0.1:libyaml-dev libcjson:libcjson-dev libcap:libcap-dev \
	libseccomp:libseccomp-dev libsodium:libsodium-dev sqlite3:libsqlite3-dev check:check \
	libcares:libc-ares-dev libssl:libssl-dev libmicrohttpd:libmicrohttpd-dev ncursesw:libncurses-dev \
	libarchive:libarchive-dev
PACKAGES := build-essential pkg-config $(foreach l,$(LIBRARIES),$(lastword $(subst :, ,$(l))))
CHECK_PACKAGES := busybox-static clang clang-format clang-tidy cppcheck curl docker-registry \
	dropbear-bin fish git golang-github-containers-common iproute2 jq libclang-rt-14-dev-wasm32 lld \
	llvm mandoc nghttp2-server nodejs openssh-client openssl postgresql postgresql-client prometheus \
	python3 python3-prometheus-client shellcheck skopeo sqlite3 stress-ng systemd tmux tzdata \
	wasi-libc zsh zstd
# What builds Debian's packages and looks at them; what boots a Debian; what that Debian has, beside
# the packages themselves.
DEB_PACKAGES := debhelper dh-python dpkg-dev lintian python3
VM_PACKAGES := $(DEB_PACKAGES) e2fsprogs mmdebstrap qemu-system-x86 qemu-utils
VM_GUEST_PACKAGES := systemd systemd-sysv dbus kmod udev procps iproute2 nftables linux-image-cloud-amd64 \
	initramfs-tools e2fsprogs zstd jq python3 passwd libyaml-0-2 libcap2 libcap2-bin libseccomp2 libsqlite3-0 \
	libsodium23 libc-ares2 libmicrohttpd12 libssl3 ca-certificates tzdata busybox-static sqlite3 curl \
	libarchive13
BENCH_PACKAGES := bubblewrap crun mmdebstrap podman runc slirp4netns socat umoci

# found NAME: not empty where the program exists.
found = $(shell command -v $(1) 2>/dev/null)
# Some packages of nodejs bring npm with them, and conflict with Debian's.
CHECK_PACKAGES += $(if $(call found,npm),,npm)

GOALS := $(or $(MAKECMDGOALS),all)
WITHOUT_PACKAGES := clean packages check-packages bench-packages deb-packages vm-packages help uninstall
ifneq ($(filter-out $(WITHOUT_PACKAGES),$(GOALS)),)
MISSING := $(if $(call found,$(CC)),,build-essential)
ifeq ($(call found,$(PKG_CONFIG)),)
MISSING += $(filter-out build-essential,$(PACKAGES))
else ifneq ($(shell $(PKG_CONFIG) --exists $(foreach l,$(LIBRARIES),$(firstword $(subst :, ,$(l)))) 2>&1 && echo found),found)
MISSING += $(foreach l,$(LIBRARIES),$(if $(shell $(PKG_CONFIG) --exists $(firstword \
	$(subst :, ,$(l))) 2>&1 || echo missing),$(lastword $(subst :, ,$(l)))))
endif
ifneq ($(strip $(MISSING)),)
$(error Packages are missing. Install them with: apt-get install $(strip $(MISSING)))
endif
endif

# --- flags ----------------------------------------------------------------------------------
MACHINE := $(shell uname -m)
BRANCHES := $(if $(filter x86_64,$(MACHINE)),-fcf-protection=full,$(if $(filter \
	aarch64,$(MACHINE)),-mbranch-protection=standard))
HARDEN_STATIC := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection $(BRANCHES)

# SANITIZE=1: address and undefined behaviour. The static helpers are built without: the
# sanitizers' run time does not link statically.
SANITIZE ?=
ifeq ($(SANITIZE),)
HARDEN := $(HARDEN_STATIC)
OPTIMIZE ?= -O2 -g
SANITIZER_SRC :=
else
HARDEN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
	$(BRANCHES)
OPTIMIZE ?= -O1 -g
SANITIZER_SRC := tests/sanitizer.c
endif

# V=1 shows whole commands, -s nothing.
V ?=
quiet = $(findstring s,$(filter-out --%,$(firstword -$(MAKEFLAGS))))
say = $(if $(V),,@$(if $(quiet),,printf '  %-5s %s\n' $(1) $(2);))

WARN := -Wall -Wextra -Wshadow -Wconversion -Werror
FLAGS = -std=gnu17 -D_GNU_SOURCE $(WARN) $(OPTIMIZE) -fPIE -fvisibility=hidden \
	-ffunction-sections -fdata-sections $(CPPFLAGS) $(CFLAGS)
PATHS = -DSCARAB_VERSION='"$(VERSION)"' -DSCARAB_LIBEXECDIR='"$(libexecdir)"' \
	-DSCARAB_SYSCONFDIR='"$(sysconfdir)"' -DSCARAB_DATADIR='"$(datadir)"'
COMPILE = $(CC) -I. -I$(BUILD)/gen $(LIBRARY_FLAGS) $(FLAGS) $(PATHS) -MMD -MP -c
LINK = $(CC) -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed -Wl,--gc-sections $(LDFLAGS)

# --- programs: NAME_SRC is what it is made of, NAME_LIBS what it links ------------------------
# Static is what starts anew for each session or command: nothing is loaded and bound. With
# sanitizers ash is dynamic, to have them too.
# What stays shares its libraries instead; the spawner's clones must not run a sanitizer's code.
DYNAMIC := agentd agentd-control agentd-config schedd secretd runnerd dialer webhook unpack $(if $(SANITIZE),ash,spawner)
STATIC := keeper init homekeeper broker egress hold mcp-bridge $(if $(SANITIZE),spawner,ash)
LIBEXEC := agentd-control agentd-config schedd secretd runnerd dialer webhook spawner keeper init homekeeper broker \
	egress hold mcp-bridge unpack

agentd_SRC := $(wildcard agentd/*.c)
agentd-control_SRC := $(wildcard agentd/control/*.c)
agentd-config_SRC := $(wildcard agentd/config/*.c)
schedd_SRC := $(wildcard schedd/*.c)
secretd_SRC := $(wildcard secretd/*.c)
runnerd_SRC := $(wildcard runnerd/*.c runnerd/steps/*.c) runnerd/home/history.c runnerd/home/tree.c
egress_SRC := $(wildcard runnerd/egress/*.c)
dialer_SRC := $(wildcard runnerd/dialer/*.c)
webhook_SRC := $(wildcard schedd/webhook/*.c)
# ash reads what plugins answer with the library's reader of JSON.
ash_SRC := $(wildcard ash/*.c) libagent/c/json.c libagent/c/buffer.c
spawner_SRC := $(wildcard runnerd/sandbox/spawner*.c) runnerd/sandbox/network.c
keeper_SRC := $(wildcard runnerd/keeper/*.c runnerd/sandbox/builder*.c) runnerd/overlay.c \
	runnerd/id_map.c runnerd/sandbox/network.c
init_SRC := $(wildcard runnerd/sandbox/init*.c)
homekeeper_SRC := $(wildcard runnerd/home/*.c) runnerd/fs.c runnerd/layers.c runnerd/trash.c
broker_SRC := $(wildcard runnerd/broker/*.c)
unpack_SRC := $(wildcard runnerd/unpack/*.c)
hold_SRC := $(wildcard runnerd/hold/*.c)
mcp-bridge_SRC := libagent/c/mcp-bridge.c

agentd_LIBS := libcap libseccomp
agentd-control_LIBS := libcap libseccomp yaml-0.1
agentd-config_LIBS := libcap libseccomp yaml-0.1
schedd_LIBS := libcap libseccomp sqlite3
secretd_LIBS := libcap libseccomp libsodium
runnerd_LIBS := libcap libseccomp libsodium
egress_LIBS := libcap libssl
# libcrypto has parts that look up names and load modules, which the linker warns of. None is called:
# egress has neither files nor names.
egress_LINK := -Wl,--no-warnings
dialer_LIBS := libcap libseccomp libcares
webhook_LIBS := libcap libseccomp libmicrohttpd
ash_LIBS := yaml-0.1 libsodium ncursesw
spawner_LIBS := libcap
keeper_LIBS := libcap libsodium
init_LIBS := libcap
homekeeper_LIBS := libcap
broker_LIBS := libcap libsodium
unpack_LIBS := libcap libarchive libcrypto
hold_LIBS :=
mcp-bridge_LIBS :=
TEST_LIBS := check libcap libseccomp yaml-0.1 libcjson libsodium sqlite3 libcares libssl libcrypto \
	libmicrohttpd libarchive

SOURCE_DIRS := agentd agentd/control agentd/config ash common libagent/c runnerd runnerd/steps \
	runnerd/sandbox runnerd/keeper runnerd/broker runnerd/egress runnerd/dialer runnerd/hold runnerd/home runnerd/unpack \
	schedd schedd/webhook secretd
COMMON_SRC := $(wildcard common/*.c)
UNIT_TESTS := $(wildcard tests/unit/test_*.c)
FUZZ_TESTS := $(wildcard tests/fuzz/fuzz_*.c)
# Small static programs that system tests and the bench run; each is one file.
TOOLS_SRC := $(filter-out %_driver.c %/stamp.c,$(wildcard tests/system/*.c tests/bench/*.c))
# What agents try in vain; each is one static file.
ESCAPES_SRC := $(wildcard tests/escape/*.c)
# These play a daemon to another one, and link what test programs do.
DRIVERS := $(wildcard tests/system/*_driver.c tests/bench/*_driver.c)

OBJ := $(BUILD)/obj
OBJ_STATIC := $(BUILD)/obj-static
PROGRAMS := $(addprefix $(BUILD)/,$(DYNAMIC) $(STATIC))
# Those that stop at named points (common/crash.h), for the sweep; they are never installed.
CRASH_PROGRAMS := $(addprefix $(BUILD)/crash/,runnerd homekeeper keeper)
TEST_PROGRAMS := $(UNIT_TESTS:tests/unit/%.c=$(BUILD)/tests/%) \
	$(FUZZ_TESTS:tests/fuzz/%.c=$(BUILD)/tests/%) $(addprefix $(BUILD)/tests/,$(notdir $(basename $(DRIVERS))))
TOOLS := $(addprefix $(BUILD)/tests/,$(notdir $(basename $(TOOLS_SRC))) stamp)
ESCAPES := $(ESCAPES_SRC:tests/%.c=$(BUILD)/tests/%)

.PHONY: all
all: $(PROGRAMS) libagent

.PHONY: help
help:
	@echo 'make                 build everything into BUILD ($(BUILD))'
	@echo 'make install         DESTDIR= prefix=$(prefix); uninstall takes it back'
	@echo 'make demo            a private instance, an example agent, its two runs'
	@echo 'make check           the whole test suite and lint'
	@echo 'make crash-sweep     a death at every named point of a session, and a start again'
	@echo 'make model           next fires beside a model of them: 10^6 cases'
	@echo 'make year            a simulated year of 1000 agents, in which the scheduler dies 10000 times'
	@echo 'make lateness        how late 1000 agents on every second are, for two minutes'
	@echo 'make unit system fuzz-short lint asan bench'
	@echo 'make libfuzzer       the fuzz targets for libFuzzer: BUILD/libfuzzer/fuzz_X'
	@echo 'make deb             Debian packages, into BUILD/deb; deb-packages says what that needs'
	@echo 'make check-vm        a Debian 12 under qemu: installs them and runs sessions; vm-packages'
	@echo 'make packages        what must be installed to build; check-packages, bench-packages'

# --- the build id: equal only where every source is equal --------------------------------------
SOURCES := $(sort $(foreach d,$(SOURCE_DIRS),$(wildcard $(d)/*.[ch] $(d)/*.def)))
BUILD_ID := $(shell cat $(SOURCES) /dev/null | sha256sum | cut -c1-32)
$(BUILD)/gen/build-id.h: FORCE
	@mkdir -p $(@D)
	@printf '#define SCARAB_BUILD_ID "%s"\n' '$(BUILD_ID)' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
# Other flags or another compiler: everything again. Other paths: what names them.
FLAGS_TEXT = $(subst ','\'',$(CC) $(FLAGS) $(HARDEN) $(LINK))
PATHS_TEXT = $(subst ','\'',$(PATHS))
PATHS_SRC := $(shell grep -lE 'SCARAB_(VERSION|LIBEXECDIR|SYSCONFDIR|DATADIR)' $(filter %.c,$(SOURCES)))
$(BUILD)/gen/flags $(BUILD)/gen/paths: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(if $(filter %/flags,$@),$(FLAGS_TEXT),$(PATHS_TEXT))' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
$(patsubst %.c,$(OBJ)/%.o,$(PATHS_SRC)) $(patsubst %.c,$(OBJ_STATIC)/%.o,$(PATHS_SRC)): $(BUILD)/gen/paths
.PHONY: FORCE
FORCE:

# --- compile and link ---------------------------------------------------------------------------
ifneq ($(filter-out $(WITHOUT_PACKAGES),$(GOALS)),)
LIBRARY_FLAGS := $(shell $(PKG_CONFIG) --cflags $(TEST_LIBS))
endif
$(OBJ)/%.o: %.c $(BUILD)/gen/flags | $(BUILD)/gen/build-id.h
	@mkdir -p $(@D)
	$(call say,CC,$<)$(COMPILE) $(HARDEN) -o $@ $<
$(OBJ_STATIC)/%.o: %.c $(BUILD)/gen/flags | $(BUILD)/gen/build-id.h
	@mkdir -p $(@D)
	$(call say,CC,$<)$(COMPILE) $(HARDEN_STATIC) -o $@ $<
$(OBJ)/common/version.o $(OBJ_STATIC)/common/version.o: $(BUILD)/gen/build-id.h

$(BUILD)/libcommon.a: $(COMMON_SRC:%.c=$(OBJ)/%.o)
	@rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $^
$(BUILD)/libcommon-static.a: $(COMMON_SRC:%.c=$(OBJ_STATIC)/%.o)
	@rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $^

libs = $(if $(1),$(shell $(PKG_CONFIG) $(2) --libs $(1)))
define dynamic_program
$(BUILD)/$(1): $$(patsubst %.c,$$(OBJ)/%.o,$$($(1)_SRC) $$(SANITIZER_SRC)) $(BUILD)/libcommon.a
	$$(call say,LINK,$$@)$$(LINK) -pie $$(HARDEN) -o $$@ $$^ $$(call libs,$$($(1)_LIBS)) -lm
endef
define static_program
$(BUILD)/$(1): $$($(1)_SRC:%.c=$$(OBJ_STATIC)/%.o) $(BUILD)/libcommon-static.a
	$$(call say,LINK,$$@)$$(LINK) -static-pie $$(HARDEN_STATIC) $$($(1)_LINK) -o $$@ $$^ $$(call libs,$$($(1)_LIBS),--static)
endef
$(foreach p,$(DYNAMIC),$(eval $(call dynamic_program,$(p))))
$(foreach p,$(STATIC),$(eval $(call static_program,$(p))))

# --- test programs: each links what its lines `// with: FILE.c …` name, globs allowed -------------
# A glob names no main.c.
with = $(foreach f,$(shell sed -n 's,^\(//\|/\*\) with: ,,; t found; d; :found s,\*/,,; p' $(1)),$(or \
	$(filter-out %/main.c,$(wildcard $(f))),$(f)))
define test_program
$(BUILD)/tests/$(notdir $(basename $(1))): $(patsubst %.c,$(OBJ)/%.o,$(1) $(call with,$(1))) \
		$(BUILD)/libcommon.a
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)$$(LINK) -pie $$(HARDEN) -o $$@ $$^ $$(call libs,$$(TEST_LIBS)) -lm
endef
define tool
$(BUILD)/tests/$(if $(findstring /escape/,$(1)),escape/)$(notdir $(basename $(1))): $(OBJ_STATIC)/$(basename $(1)).o
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)$$(LINK) -static-pie $$(HARDEN_STATIC) -o $$@ $$^
endef
ifneq ($(filter-out all demo install $(WITHOUT_PACKAGES),$(GOALS)),)
$(foreach t,$(UNIT_TESTS) $(FUZZ_TESTS) $(DRIVERS),$(eval $(call test_program,$(t))))
endif
$(foreach t,$(TOOLS_SRC) $(ESCAPES_SRC),$(eval $(call tool,$(t))))
# No start files: its first instruction is what the bench waits for.
$(BUILD)/tests/stamp: tests/bench/stamp.c $(BUILD)/gen/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(WARN) -O2 -ffreestanding -fno-stack-protector \
		-nostdlib -static -o $@ $<

# The same objects, but for those that name a point.
CRASH_SRC := $(shell grep -lE '\<CRASH_POINT' $(filter runnerd/%.c,$(SOURCES))) tests/crash/points.c
CRASH_FLAGS := -DSCARAB_CRASH_POINTS
$(OBJ)-crash/%.o: %.c $(BUILD)/gen/flags | $(BUILD)/gen/build-id.h
	@mkdir -p $(@D)
	$(call say,CC,$<)$(COMPILE) $(CRASH_FLAGS) $(HARDEN) -o $@ $<
$(OBJ_STATIC)-crash/%.o: %.c $(BUILD)/gen/flags | $(BUILD)/gen/build-id.h
	@mkdir -p $(@D)
	$(call say,CC,$<)$(COMPILE) $(CRASH_FLAGS) $(HARDEN_STATIC) -o $@ $<
# crash_objects NAME FOLDER
crash_objects = $(foreach s,$($(1)_SRC) tests/crash/points.c,$(2)$(if $(filter \
	$(s),$(CRASH_SRC)),-crash)/$(s:%.c=%.o))
$(BUILD)/crash/runnerd: $(call crash_objects,runnerd,$(OBJ)) $(SANITIZER_SRC:%.c=$(OBJ)/%.o) \
		$(BUILD)/libcommon.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(LINK) -pie $(HARDEN) -o $@ $^ $(call libs,$(runnerd_LIBS)) -lm
define crash_program
$(BUILD)/crash/$(1): $(call crash_objects,$(1),$(OBJ_STATIC)) $(BUILD)/libcommon-static.a
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)$$(LINK) -static-pie $$(HARDEN_STATIC) -o $$@ $$^ $$(call libs,$$($(1)_LIBS),--static)
endef
$(foreach p,homekeeper keeper,$(eval $(call crash_program,$(p))))

include libagent/libagent.mk
.PHONY: libagent
libagent: $(LIBAGENT)

.PHONY: tests
tests: $(TEST_PROGRAMS) $(TOOLS) $(ESCAPES) $(CRASH_PROGRAMS) $(AGENT_DRIVER) $(AGENT_EXAMPLE)

# --- running them: tests/run BUILD SUITE… ---------------------------------------------------------
.PHONY: check unit system crash-sweep model year lateness fuzz-short lint asan bench demo
check: all tests
	tests/run $(BUILD) unit fuzz system lint
unit: tests
	tests/run $(BUILD) unit
system: all tests
	tests/run $(BUILD) system
# Every point, every time that it is passed, whoever is killed there.
crash-sweep: all tests
	CRASH_SWEEP=all ONLY=crash_sweep TEST_TIME_FACTOR=20 tests/run $(BUILD) system
# Next fires of cron expressions: a million cases, every change of every zone of the model.
model: tests
	MODEL_CASES=1000000 MODEL_EXPRESSIONS=1000 ONLY=schedule_model TEST_TIME_FACTOR=10 \
		tests/run $(BUILD) system
# The scheduler's real code through a year of 1000 agents, killed 10000 times.
year: tests
	YEAR_AGENTS=1000 YEAR_DEATHS=10000 ONLY=year TEST_TIME_FACTOR=10 tests/run $(BUILD) system
# A thousand agents on every second, for two minutes: none lost, none twice, and how late.
lateness: all tests
	LATENESS_AGENTS=1000 LATENESS_SECONDS=120 ONLY=lateness TEST_TIME_FACTOR=2 tests/run $(BUILD) system
fuzz-short: tests
	tests/run $(BUILD) fuzz
lint: $(BUILD)/gen/build-id.h $(BUILD)/gen/include/scarab/agent.h
	tests/run $(BUILD) lint
# libFuzzer over the same targets, for as long as one likes: BUILD/libfuzzer/fuzz_X [CORPUS…].
LIBFUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/libfuzzer/%,$(shell grep -l SCARAB_LIBFUZZER tests/fuzz/*.c))
.PHONY: libfuzzer
libfuzzer: $(LIBFUZZERS)
$(BUILD)/libfuzzer/%: tests/fuzz/%.c $(COMMON_SRC) | $(BUILD)/gen/build-id.h
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)clang -DSCARAB_LIBFUZZER -fsanitize=fuzzer,address,undefined -g -O1 -std=gnu17 \
		-D_GNU_SOURCE -I. -I$(BUILD)/gen $(LIBRARY_FLAGS) $(PATHS) -o $@ $< $(call with,$<) \
		$(COMMON_SRC) $(call libs,$(TEST_LIBS)) -lm
# A build folder of its own, so that both builds stay warm.
asan:
	$(MAKE) BUILD=$(BUILD)-asan SANITIZE=1 all tests
	SANITIZE=1 tests/run $(BUILD)-asan unit fuzz system
demo: all $(TOOLS)
	examples/demo $(BUILD)
bench: all $(TOOLS) $(patsubst tests/bench/%.c,$(BUILD)/tests/%,$(filter tests/bench/%,$(DRIVERS))) \
		$(BUILD)/tests/broker_driver
	tests/bench/run $(BUILD)

# --- install ----------------------------------------------------------------------------------------
MAN_PAGES := $(wildcard man/*.[13578])
UNITS := $(wildcard etc/*.service etc/*.socket)
EXAMPLES := $(wildcard examples/agents/*/* examples/plugins/*/*)
man_target = $(mandir)/man$(subst .,,$(suffix $(1)))/$(notdir $(1))
INSTALLED := $(bindir)/ash $(sbindir)/agentd $(addprefix $(libexecdir)/,$(LIBEXEC)) \
	$(foreach m,$(MAN_PAGES),$(call man_target,$(m))) \
	$(addprefix $(unitdir)/,$(notdir $(UNITS))) \
	$(sysusersdir)/scarab-runtime.conf $(tmpfilesdir)/scarab-runtime.conf \
	$(bashcompdir)/ash $(zshcompdir)/_ash $(fishcompdir)/ash.fish \
	$(addprefix $(datadir)/,$(EXAMPLES)) \
	$(addprefix $(docdir)/,README.md ARCHITECTURE.md LICENSE agentd.yaml)
# Files that name paths are written for the paths of this installation.
AT_PATHS = sed -e 's,/usr/libexec/scarab-runtime,$(libexecdir),g' -e 's,/usr/sbin/agentd,$(sbindir)/agentd,g' \
	-e 's,/usr/bin/ash,$(bindir)/ash,g' -e 's,/etc/scarab-runtime,$(sysconfdir),g' \
	-e 's,/usr/share/scarab-runtime,$(datadir),g'

.PHONY: install uninstall
install: all install-libagent
	$(call say,INST,$(DESTDIR)$(prefix))$(INSTALL) -d $(addprefix $(DESTDIR),$(bindir) $(sbindir) $(libexecdir) $(sysconfdir) \
		$(docdir) $(unitdir) $(sysusersdir) $(tmpfilesdir))
	@$(INSTALL) -m 0755 $(BUILD)/ash $(DESTDIR)$(bindir)/ash
	@$(INSTALL) -m 0755 $(BUILD)/agentd $(DESTDIR)$(sbindir)/agentd
	@$(INSTALL) -m 0755 $(addprefix $(BUILD)/,$(LIBEXEC)) $(DESTDIR)$(libexecdir)
	@$(INSTALL) -m 0644 README.md ARCHITECTURE.md LICENSE $(DESTDIR)$(docdir)
	@set -e; for page in $(MAN_PAGES); do \
		dir=$(DESTDIR)$(mandir)/man$${page##*.}; \
		$(INSTALL) -d $$dir; $(AT_PATHS) $$page >$$dir/$${page##*/}; \
		chmod 0644 $$dir/$${page##*/}; done
	@set -e; for unit in $(UNITS); do \
		$(AT_PATHS) $$unit >$(DESTDIR)$(unitdir)/$${unit##*/}; \
		chmod 0644 $(DESTDIR)$(unitdir)/$${unit##*/}; done
	@$(INSTALL) -d $(addprefix $(DESTDIR),$(bashcompdir) $(zshcompdir) $(fishcompdir))
	@$(BUILD)/ash completion bash >$(DESTDIR)$(bashcompdir)/ash
	@$(BUILD)/ash completion zsh >$(DESTDIR)$(zshcompdir)/_ash
	@$(BUILD)/ash completion fish >$(DESTDIR)$(fishcompdir)/ash.fish
	@chmod 0644 $(addprefix $(DESTDIR),$(bashcompdir)/ash $(zshcompdir)/_ash $(fishcompdir)/ash.fish)
	@$(INSTALL) -m 0644 etc/scarab-runtime.sysusers $(DESTDIR)$(sysusersdir)/scarab-runtime.conf
	@$(INSTALL) -m 0644 etc/scarab-runtime.tmpfiles $(DESTDIR)$(tmpfilesdir)/scarab-runtime.conf
	@set -e; for file in $(EXAMPLES); do \
		mode=0644; if [ -x $$file ]; then mode=0755; fi; \
		$(INSTALL) -d $(DESTDIR)$(datadir)/$${file%/*}; \
		$(INSTALL) -m $$mode $$file $(DESTDIR)$(datadir)/$$file; done
	@$(AT_PATHS) etc/agentd.yaml >$(DESTDIR)$(docdir)/agentd.yaml
	@chmod 0644 $(DESTDIR)$(docdir)/agentd.yaml
	@# The operator's configuration is never overwritten.
	@if [ ! -e $(DESTDIR)$(sysconfdir)/agentd.yaml ]; then \
		$(INSTALL) -m 0644 $(DESTDIR)$(docdir)/agentd.yaml $(DESTDIR)$(sysconfdir)/agentd.yaml; fi
uninstall: uninstall-libagent
	$(call say,RM,$(DESTDIR)$(prefix))rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	@rmdir $(addprefix $(DESTDIR),$(libexecdir) $(docdir)) $(DESTDIR)$(datadir)/examples/agents/* \
		$(DESTDIR)$(datadir)/examples/plugins/* $(DESTDIR)$(datadir)/examples/plugins \
		$(DESTDIR)$(datadir)/examples/agents $(DESTDIR)$(datadir)/examples $(DESTDIR)$(datadir) 2>/dev/null || :

# --- Debian's packages, and a Debian to try them in ---------------------------------------------------
# From a copy: dpkg-buildpackage writes into and beside the folder that it is called in.
DEB_SOURCES := agentd ash common debian etc examples libagent man runnerd schedd secretd tests Makefile README.md \
	ARCHITECTURE.md LICENSE
DEB := $(BUILD)/deb
VM_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/scarab-runtime-vm
.PHONY: deb check-vm
deb: $(DEB)/built
ifneq ($(filter deb check-vm,$(GOALS)),)
$(DEB)/built: $(shell find $(DEB_SOURCES) -type f)
	@for package in $(filter-out build-essential,$(PACKAGES)); do grep -q "^ $$package\>" debian/control || \
		{ echo "debian/control lacks $$package in Build-Depends" >&2; exit 1; }; done
	@rm -rf $(DEB)/src $(DEB)/*.deb
	@mkdir -p $(DEB)/src
	@cp -a $(DEB_SOURCES) $(DEB)/src
	$(call say,DEB,$(DEB))cd $(DEB)/src && env -u MAKEFLAGS -u MAKELEVEL -u BUILD CC='$(CC)' BUILT=$(abspath $(DEB))/objects \
		DEB_BUILD_OPTIONS='nocheck parallel=$(shell nproc)' dpkg-buildpackage -us -uc -b -nc >../log 2>&1 || \
		{ tail -n 30 ../log; exit 1; }
	@rm -rf $(DEB)/src
	@touch $@
endif
check-vm: all tests deb
	VM_CACHE=$(VM_CACHE) VM_GUEST_PACKAGES='$(VM_GUEST_PACKAGES)' tests/vm/run $(BUILD)

.PHONY: packages check-packages bench-packages deb-packages vm-packages
packages:
	@echo $(PACKAGES)
check-packages:
	@echo $(CHECK_PACKAGES)
bench-packages:
	@echo $(BENCH_PACKAGES)
deb-packages:
	@echo $(DEB_PACKAGES)
vm-packages:
	@echo $(VM_PACKAGES)

.PHONY: clean
clean:
	rm -rf $(BUILD) $(BUILD)-asan

ifneq ($(filter-out $(WITHOUT_PACKAGES),$(GOALS)),)
-include $(shell find $(OBJ) $(OBJ_STATIC) $(OBJ)-crash $(OBJ_STATIC)-crash $(OBJ_PIC) -name '*.d' 2>/dev/null)
endif
