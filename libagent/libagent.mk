# libagent, included by the Makefile: the C library, shared and static, and where all three are
# installed. The Rust crate is installed as source: cargo builds it with the agent.

libdir ?= $(prefix)/lib
includedir ?= $(prefix)/include
pythondir ?= $(prefix)/lib/python3/dist-packages
# Beside the examples as in the source tree: they name it by where it lies from them.
rustdir ?= $(datadir)/libagent/rust

# The soname's number grows when a program that was linked before would no longer run.
AGENT_SONAME := libagent.so.0
AGENT_SHARED := libagent.so.$(VERSION)
AGENT_SRC := $(filter-out %/mcp-bridge.c,$(wildcard libagent/c/*.c))
OBJ_PIC := $(BUILD)/obj-pic
AGENT_OBJ := $(AGENT_SRC:%.c=$(OBJ_PIC)/%.o)

$(OBJ_PIC)/%.o: %.c $(BUILD)/gen/flags | $(BUILD)/gen/build-id.h
	@mkdir -p $(@D)
	$(call say,CC,$<)$(COMPILE) -fPIC -DAGENT_VERSION='"$(VERSION)"' $(HARDEN) -o $@ $<
$(BUILD)/libagent.a: $(AGENT_OBJ)
	@rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $^
$(BUILD)/$(AGENT_SHARED): $(AGENT_OBJ)
	$(call say,LINK,$@)$(LINK) -shared -Wl,-soname,$(AGENT_SONAME) $(if $(SANITIZE),,-Wl$(comma)-z$(comma)defs) \
		$(HARDEN) -o $@ $^
comma := ,
LIBAGENT := $(BUILD)/libagent.a $(BUILD)/$(AGENT_SHARED) $(BUILD)/python/start.py $(BUILD)/wasm/start.cjs

# What runs the steps that every libagent does the same.
AGENT_DRIVER := $(BUILD)/tests/agent-driver
$(AGENT_DRIVER): $(OBJ)/tests/libagent/driver.o $(SANITIZER_SRC:%.c=$(OBJ)/%.o) $(BUILD)/libagent.a
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(LINK) -pie $(HARDEN) -o $@ $^

# The example in C, as it is compiled against the tree; its header is installed as scarab/agent.h.
AGENT_EXAMPLE := $(BUILD)/examples/digest-c/digest
$(BUILD)/gen/include/scarab/agent.h: libagent/c/agent.h
	@mkdir -p $(@D)
	@cp $< $@
$(AGENT_EXAMPLE): examples/agents/digest-c/digest.c $(SANITIZER_SRC) $(BUILD)/gen/include/scarab/agent.h \
		$(BUILD)/libagent.a $(BUILD)/gen/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -I$(BUILD)/gen/include $(FLAGS) $(HARDEN) -pie -o $@ $< $(SANITIZER_SRC) $(BUILD)/libagent.a

# What sandboxes of the runtime python show at /run/agentd/python: start.py and libagent beside it.
PYTHON_START := libagent/python/start.py
$(BUILD)/python/start.py: $(PYTHON_START) $(wildcard libagent/python/libagent/*.py)
	@mkdir -p $(@D)/libagent
	@cp libagent/python/libagent/*.py $(@D)/libagent/
	@chmod 0755 $(@D) $(@D)/libagent
	@chmod 0644 $(@D)/libagent/*.py
	@install -m 0644 $< $@

# What sandboxes of the runtime wasm show at /run/agentd/wasm.
WASM_START := $(wildcard libagent/wasm/*.cjs)
$(BUILD)/wasm/start.cjs: $(WASM_START)
	@mkdir -p $(@D)
	@chmod 0755 $(@D)
	@install -m 0644 $(WASM_START) $(@D)

# The C library for modules of WebAssembly, where Debian's clang and wasi-libc look for it. Nothing of
# the runtime's own needs it, and nobody else a compiler for it: it is made when it is asked for.
WASM_CC ?= clang
WASM_FLAGS := --target=wasm32-wasi -std=gnu17 -D_GNU_SOURCE -O2 -ffunction-sections -fdata-sections $(WARN)
WASM_OBJ := $(AGENT_SRC:%.c=$(BUILD)/obj-wasm/%.o)
WASM_DIR := wasm32-wasi
$(BUILD)/obj-wasm/%.o: %.c libagent/c/agent.h
	@mkdir -p $(@D)
	$(call say,CC,$<)$(WASM_CC) -I. $(WASM_FLAGS) -DAGENT_VERSION='"$(VERSION)"' -c -o $@ $<
$(BUILD)/wasm-lib/libagent.a: $(WASM_OBJ)
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)llvm-ar rcs $@ $^
.PHONY: libagent-wasm install-libagent-wasm
libagent-wasm: $(BUILD)/wasm-lib/libagent.a $(BUILD)/gen/include/scarab/agent.h
install-libagent-wasm: libagent-wasm
	@$(INSTALL) -d $(addprefix $(DESTDIR),$(libdir)/$(WASM_DIR) $(includedir)/$(WASM_DIR)/scarab)
	@$(INSTALL) -m 0644 $(BUILD)/wasm-lib/libagent.a $(DESTDIR)$(libdir)/$(WASM_DIR)
	@$(INSTALL) -m 0644 libagent/c/agent.h $(DESTDIR)$(includedir)/$(WASM_DIR)/scarab
PYTHON_FILES := $(notdir $(wildcard libagent/python/libagent/*.py))
RUST_FILES := $(patsubst libagent/rust/%,%,$(wildcard libagent/rust/Cargo.* libagent/rust/src/*.rs \
	libagent/rust/examples/*.rs))
LIBAGENT_INSTALLED := $(addprefix $(libdir)/,libagent.a libagent.so $(AGENT_SONAME) $(AGENT_SHARED) \
	pkgconfig/libagent.pc) $(includedir)/scarab/agent.h \
	$(addprefix $(pythondir)/libagent/,$(PYTHON_FILES)) \
	$(addprefix $(libexecdir)/python/,start.py $(addprefix libagent/,$(PYTHON_FILES))) \
	$(addprefix $(libexecdir)/wasm/,$(notdir $(WASM_START))) \
	$(libdir)/$(WASM_DIR)/libagent.a $(includedir)/$(WASM_DIR)/scarab/agent.h \
	$(addprefix $(rustdir)/,$(RUST_FILES))

.PHONY: install-libagent uninstall-libagent
install-libagent: $(LIBAGENT)
	@$(INSTALL) -d $(addprefix $(DESTDIR),$(libdir)/pkgconfig $(includedir)/scarab \
		$(pythondir)/libagent $(libexecdir)/python/libagent $(libexecdir)/wasm $(rustdir)/src $(rustdir)/examples)
	@$(INSTALL) -m 0644 $(BUILD)/libagent.a $(BUILD)/$(AGENT_SHARED) $(DESTDIR)$(libdir)
	@ln -sf $(AGENT_SHARED) $(DESTDIR)$(libdir)/$(AGENT_SONAME)
	@ln -sf $(AGENT_SONAME) $(DESTDIR)$(libdir)/libagent.so
	@$(INSTALL) -m 0644 libagent/c/agent.h $(DESTDIR)$(includedir)/scarab/agent.h
	@sed -e 's,@prefix@,$(prefix),' -e 's,@libdir@,$(libdir),' -e 's,@includedir@,$(includedir),' \
		-e 's,@version@,$(VERSION),' libagent/c/libagent.pc.in \
		>$(DESTDIR)$(libdir)/pkgconfig/libagent.pc
	@chmod 0644 $(DESTDIR)$(libdir)/pkgconfig/libagent.pc
	@$(INSTALL) -m 0644 $(addprefix libagent/python/libagent/,$(PYTHON_FILES)) \
		$(DESTDIR)$(pythondir)/libagent
	@$(INSTALL) -m 0644 $(addprefix libagent/python/libagent/,$(PYTHON_FILES)) \
		$(DESTDIR)$(libexecdir)/python/libagent
	@$(INSTALL) -m 0644 $(PYTHON_START) $(DESTDIR)$(libexecdir)/python/start.py
	@$(INSTALL) -m 0644 $(WASM_START) $(DESTDIR)$(libexecdir)/wasm
	@set -e; for file in $(RUST_FILES); do \
		$(INSTALL) -m 0644 libagent/rust/$$file $(DESTDIR)$(rustdir)/$$file; done
uninstall-libagent:
	@rm -f $(addprefix $(DESTDIR),$(LIBAGENT_INSTALLED))
	@rm -rf $(DESTDIR)$(pythondir)/libagent/__pycache__
	@rmdir $(addprefix $(DESTDIR),$(includedir)/scarab $(pythondir)/libagent $(libexecdir)/python/libagent \
		$(libexecdir)/python $(libexecdir)/wasm $(includedir)/$(WASM_DIR)/scarab $(rustdir)/src \
		$(rustdir)/examples $(rustdir) $(datadir)/libagent) 2>/dev/null || :
