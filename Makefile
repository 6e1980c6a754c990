# SPDX-License-Identifier: MIT
# msgchan: what there is to do with this tree; "make help" lists it.

KERNEL ?= 6.12
KDIR ?= /lib/modules/$(shell uname -r)/build
export BUILD ?= $(CURDIR)/build
export PREFIX ?= /usr/local
export DESTDIR

# what is built here and runs in a guest
TESTS := kselftest libipc cli stress selinux
# the guests for them
GUESTS = 'guest $(KERNEL)' 'tools/vm/check $(KERNEL)' \
	'guest $(KERNEL) with SELinux' 'tools/vm/selinux $(KERNEL)'

all: libipc cli			## library and CLI, into build/ (the default)

help:				## this list
	@awk -F ':[^#]*##' '/^[a-z-]+:.*##/ { printf "  make %-15s %s\n", $$1, $$2 }' \
		$(MAKEFILE_LIST)
	@echo 'KERNEL=6.12 (default), 6.12-rt, 6.1, debug or newest says which kernel the guest has.'

deps:				## install the Debian packages needed, all of them
	@tools/deps.sh

deps-build:
	@tools/deps.sh build

libipc: deps-build
	$(MAKE) -C libipc

cli: libipc
	$(MAKE) -C tools/msgchan

kmod:				## the module for KERNEL, into build/kmod-RELEASE
	@tools/deps.sh build vm
	@tools/vm/module $(KERNEL)

selftests: libipc cli
	@tools/deps.sh build check
	$(foreach t,$(TESTS),$(MAKE) -C selftests/$t &&) true

check: selftests		## every test: on the host, then in guests
	@tools/tally 'unit tests' '$(MAKE) -s -C selftests/unit check' \
		$(GUESTS)

check-guest: selftests		## only those in guests
	@tools/tally $(GUESTS)

demo:				## watch the real thing work
	@tools/demo/run -k $(KERNEL)

bench:				## measure; ratios to pipes, sockets, a bare ring
	@tools/bench/run -k $(KERNEL)

vm: libipc cli			## a shell in a guest, with the module and the CLI
	@tools/vm/shell $(KERNEL)

verify:				## check the models of the protocol
	@tools/deps.sh verify
	@$(MAKE) -s -C selftests/models

# how many messages, kills and calls, for make stress
export STRESS_MESSAGES ?= 100000000
export STRESS_KILLS ?= 2000
export STRESS_CALLS ?= 2000000

stress: libipc			## very many messages and calls, all checked, and kill -9; in a guest
	@tools/deps.sh build vm
	$(MAKE) -C selftests/stress
	@tools/vm/stress $(KERNEL)

fuzz:				## hostile peers' bytes against the ring engine, FUZZ_SECONDS=60 each
	@tools/deps.sh fuzz
	@$(MAKE) -s -C selftests/fuzz fuzz

lint: libipc cli		## all checkers over all sources
	@tools/deps.sh build vm lint
	@tools/lint/run

install: install-module install-user	## module, header, library, CLI, man pages

install-module:			## the module, for the kernel in KDIR
	@tools/vm/module $(KDIR)
	$(MAKE) -C $(KDIR) \
		M=$(BUILD)/kmod-$$(cat $(KDIR)/include/config/kernel.release) \
		INSTALL_MOD_PATH=$(DESTDIR) modules_install
	$(if $(DESTDIR),,depmod $$(cat $(KDIR)/include/config/kernel.release))

install-user: libipc cli	## everything else, below PREFIX
	install -D -m 644 kmod/uapi/linux/msgchan.h \
		$(DESTDIR)$(PREFIX)/include/linux/msgchan.h
	$(MAKE) -C libipc install
	$(MAKE) -C tools/msgchan install
	$(if $(DESTDIR),,ldconfig)

clean:				## remove build/ (the cache of kernels stays)
	rm -rf $(BUILD)

.PHONY: all help deps deps-build libipc cli kmod selftests check check-guest demo bench vm verify \
	stress fuzz lint install install-module install-user clean
