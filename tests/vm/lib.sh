# shellcheck shell=bash
# Sourced by tests/vm/run: machines that boot the image of tests/vm/image under qemu's emulation.
#
#   machine_new DIRECTORY IMAGE PAYLOAD   a disk above IMAGE's, whose first boot unpacks the folder
#                                         PAYLOAD and runs its `run`
#   machine_boot DIRECTORY SECONDS [ARGUMENT…]  until it powers off: 0; 1 when it was late. ARGUMENTs go to
#                                         the kernel
#   machine_start DIRECTORY [ARGUMENT…]   the same, without waiting; $machine_pid
#   machine_disk FILE                     a further disk for the next start; its serial is the file's name
#   machine_cut                           what a power loss does to it, and to what its disk had not written
#   machine_results DIRECTORY             what its run left, in DIRECTORY/results; fails when there is none
#
# Hardware acceleration is never used: what is emulated is the same on every machine.

machine_pid='' machine_disks=()
# A pipe that nobody writes to: reading it with a time limit waits without a process.
exec {silence}<> <(:)
RESULTS_BYTES=$((64 << 20))

machine_new() {
	local dir=$1 image=$2 payload=$3
	mkdir -p "$dir"
	cp "$image/vmlinuz" "$image/initrd.img" "$dir/"
	qemu-img create -q -f qcow2 -F raw -b "$image/root.img" "$dir/root.qcow2"
	tar -C "$payload" -cf "$dir/payload.tar" .
	truncate -s %512 "$dir/payload.tar"
	truncate -s $RESULTS_BYTES "$dir/results.raw"
}

machine_disk() {
	local name
	name=$(basename "$1")
	truncate -s %512 "$1"
	machine_disks+=(-drive "file=$1,format=raw,if=none,id=$name,readonly=on"
	    -device "virtio-blk-pci,drive=$name,serial=$name")
}

machine_start() {
	local dir=$1
	shift
	qemu-system-x86_64 -accel tcg,thread=multi -M q35 -cpu max -m "${machine_memory:-1024}" -smp 2 -nodefaults -display none \
	    -serial "file:$dir/serial.log" -kernel "$dir/vmlinuz" -initrd "$dir/initrd.img" \
	    -append "console=ttyS0 root=/dev/vda rw rootflags=prjquota panic=-1 quiet systemd.show_status=0 secretmem.enable=1 no_timer_check $*" \
	    -drive "file=$dir/root.qcow2,if=none,id=root,cache=writeback" -device virtio-blk-pci,drive=root \
	    -drive "file=$dir/payload.tar,format=raw,if=none,id=payload,readonly=on" \
	    -device virtio-blk-pci,drive=payload,serial=payload \
	    -drive "file=$dir/results.raw,format=raw,if=none,id=results,cache=writeback" \
	    -device virtio-blk-pci,drive=results,serial=results "${machine_disks[@]}" </dev/null >"$dir/qemu.log" 2>&1 &
	machine_pid=$!
}

# machine_ends SECONDS
machine_ends() {
	local began=$SECONDS
	while kill -0 "$machine_pid" 2>/dev/null; do
		[ $((SECONDS - began)) -lt "$1" ] || return 1
		read -r -t 0.2 -u "$silence"
	done
	wait "$machine_pid" 2>/dev/null
	machine_pid=''
}

machine_cut() {
	[ -n "$machine_pid" ] || return 0
	kill -KILL "$machine_pid" 2>/dev/null
	wait "$machine_pid" 2>/dev/null
	machine_pid=''
}

machine_boot() {
	local dir=$1 seconds=$2
	shift 2
	machine_start "$dir" "$@"
	machine_ends "$seconds" && return 0
	machine_cut
	return 1
}

machine_results() {
	rm -rf "$1/results"
	mkdir "$1/results"
	tar -C "$1/results" -xf "$1/results.raw" 2>/dev/null
	[ -e "$1/results/rc" ]
}
