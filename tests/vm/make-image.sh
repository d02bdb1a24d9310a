#!/bin/bash
# make-image.sh DIR : builds the test machine in DIR: stock Debian 12 kernel, initrd, root.img and the keys to log in with.
#
# What is there and made by this very script is kept. Run as root. Packages come from this machine's own apt sources; the
# machine itself gets nothing installed: qemu, mmdebstrap and cpio must be there (deploy/packages.txt).
set -euo pipefail
[ $# = 1 ] || { sed -n '2s/^# //p' "$0" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "make-image: must run as root" >&2; exit 1; }
for tool in mmdebstrap cpio mke2fs ssh-keygen depmod; do
  command -v "$tool" >/dev/null || { echo "make-image: $tool is missing, see deploy/packages.txt" >&2; exit 1; }
done
mkdir -p "$1"; dir=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)

packages=(
  systemd systemd-sysv udev kmod dbus openssh-server iproute2 procps python3 v4l-utils gstreamer1.0-tools
  polkitd libpam-systemd dbus-user-session init-system-helpers  # what the package depends on, and desktop sessions
  libprotobuf32 libprotobuf-lite32  # what libprotobuf-dev brings where the native module is built
  pulseaudio alsa-utils  # a sound server on the kernel's sound cards, and what plays into them
  $(awk '$1 == "run" {print $2}' "$here/../../deploy/packages.txt")
)
stamp=$(cat "$0" <(printf '%s\n' "${packages[@]}") | sha256sum | cut -c1-16)
exec 9>"$dir/lock"; flock -w 1200 9  # one build at a time in one folder
[ "$(cat "$dir/stamp" 2>/dev/null)" != "$stamp" ] || exit 0
rm -f "$dir/stamp"
say() { echo "make-image: [${SECONDS} s] $*" >&2; }
work=$(mktemp -d "$dir/build.XXXXXX"); trap 'rm -rf "$work"' EXIT

# 1. The stock kernel, unpacked and never installed here.
apt="apt-get -q -o DPkg::Lock::Timeout=600"
say "refreshing the package lists"
$apt update >"$dir/apt.log" 2>&1
image=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image/{print $2; exit}')
say "kernel $image"
(cd "$work" && $apt download "$image" busybox-static >>"$dir/apt.log" 2>&1 &&
  dpkg-deb -x ./linux-image-*.deb kernel && dpkg-deb -x ./busybox-static_*.deb busybox)
version=$(ls "$work/kernel/lib/modules"); modules=$work/kernel/lib/modules/$version
install -m 644 "$work/kernel/boot/vmlinuz-$version" "$dir/vmlinuz"
# Drivers of hardware that this machine can never have: without them the image is smaller and udev quicker.
rm -rf "$modules"/kernel/drivers/{gpu/drm/{amd,i915,nouveau,radeon,gma500,vmwgfx},infiniband,iio,mtd,scsi,staging,isdn,md,ata,nvme,mmc} \
  "$modules"/kernel/drivers/net/{ethernet,wireless,wwan,can,fddi} "$modules"/kernel/drivers/media/{pci,dvb-frontends,tuners} \
  "$modules"/kernel/sound/{ac97,arm,atmel,firewire,hda,isa,parisc,pci,pcmcia,ppc,sh,soc,sparc,spi,synth,x86,xen}
depmod -b "$work/kernel" "$version" 2>/dev/null

# 2. The root file system.
apt-get indextargets --format 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(REPO_URI) $(RELEASE) $(COMPONENT)' \
  'Created-By: Packages' 'Origin: Debian' | sort -u >"$work/sources.list"
[ -s "$work/sources.list" ] || { echo "make-image: no Debian apt source is configured on this machine" >&2; exit 1; }
apt-config dump Acquire >"$work/apt.conf"  # proxies, certificates and the like
say "root file system (half a minute to two minutes)"
include=$(IFS=,; echo "${packages[*]}")
mmdebstrap --mode=root --variant=apt --quiet --include="$include" --aptopt="$work/apt.conf" \
  --aptopt='Apt::Install-Recommends "false"' --dpkgopt=force-unsafe-io \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  bookworm "$work/root" "$work/sources.list" >"$dir/mmdebstrap.log" 2>&1 || { tail -20 "$dir/mmdebstrap.log" >&2; exit 1; }
root=$work/root
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root"/etc/apt/sources.list*
mkdir -p "$root/lib/modules"; cp -a "$modules" "$root/lib/modules/$version"

# 3. Its settings: a login by key, one vivid camera, and little else, for a quick start.
[ -s "$dir/id" ] || ssh-keygen -q -t ed25519 -N '' -C vm -f "$dir/id"
install -d -m 700 "$root/root/.ssh"; install -m 600 "$dir/id.pub" "$root/root/.ssh/authorized_keys"
rm -f "$root"/etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N '' -C vm -f "$root/etc/ssh/ssh_host_ed25519_key"
echo "vm $(cut -d' ' -f1,2 "$root/etc/ssh/ssh_host_ed25519_key.pub")" >"$dir/known_hosts"
printf 'UseDNS no\nPrintMotd no\nPermitRootLogin prohibit-password\nUsePAM no\nMaxSessions 50\n' >"$root/etc/ssh/sshd_config.d/vm.conf"
install -d "$root/etc/systemd/system/ssh.service.d"; printf '[Service]\nExecStartPre=\n' >"$root/etc/systemd/system/ssh.service.d/quick.conf"
printf 'blacklist %s\n' iTCO_wdt lpc_ich i2c_i801 psmouse pcspkr serio_raw qemu_fw_cfg >"$root/etc/modprobe.d/quick.conf"
echo vm >"$root/etc/hostname"; printf '127.0.0.1 localhost\n127.0.1.1 vm\n' >"$root/etc/hosts"; : >"$root/etc/resolv.conf"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
printf '/dev/vda / ext4 noatime 0 0\n' >"$root/etc/fstab"
mkdir -p "$root/var/log/journal"
printf 'vivid\nvhci-hcd\n' >"$root/etc/modules-load.d/vm.conf"
printf 'options vivid n_devs=1 node_types=0x1 num_inputs=1 input_types=0\n' >"$root/etc/modprobe.d/vm.conf"  # one camera, one input
cat >"$root/etc/systemd/system/vm-ready.service" <<'U'
[Unit]
Description=Tell the host that this machine can be used
After=ssh.service systemd-modules-load.service systemd-udev-trigger.service
[Service]
Type=oneshot
StandardOutput=tty
TTYPath=/dev/console
ExecStart=/bin/echo vm-ready
[Install]
WantedBy=multi-user.target
U
for unit in vm-ready ssh; do chroot "$root" systemctl -q enable $unit.service; done
for unit in getty@tty1.service serial-getty@ttyS0.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
            e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-tmpfiles-clean.timer systemd-pstore.service \
            systemd-random-seed.service systemd-update-utmp.service systemd-update-utmp-runlevel.service \
            modprobe@{configfs,dm_mod,drm,efi_pstore,loop}.service kmod-static-nodes.service \
            sys-kernel-{debug,tracing}.mount dev-{hugepages,mqueue}.mount proc-sys-fs-binfmt_misc.automount; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# 4. A tiny initramfs: loads the root device's driver, sets up the network, mounts root, starts systemd.
initrd=$work/initrd; mkdir -p "$initrd"/{bin,dev,proc,sys,newroot,modules}
install -m 755 "$work/busybox/bin/busybox" "$initrd/bin/busybox"
order=()
for module in virtio_pci virtio_blk ext4 crc32c_generic virtio_net; do
  while read -r _ file _; do
    name=$(basename "$file"); [ -e "$initrd/modules/$name" ] && continue
    cp "$file" "$initrd/modules/$name"; order+=("$name")
  done < <(modprobe -d "$work/kernel" -S "$version" --show-depends --ignore-install "$module" | grep '^insmod')
done
cat >"$initrd/init" <<S
#!/bin/busybox sh
b=/bin/busybox
\$b mount -t proc proc /proc; \$b mount -t sysfs sys /sys; \$b mount -t devtmpfs dev /dev
for m in ${order[*]}; do \$b insmod /modules/\$m 2>/dev/null; done
n=0; while [ ! -b /dev/vda ] && [ \$n -lt 300 ]; do \$b sleep 0.1; n=\$((n+1)); done
\$b ip link set lo up; \$b ip link set eth0 up; \$b ip addr add 10.0.2.15/24 dev eth0; \$b ip route add default via 10.0.2.2
\$b mount -t ext4 -o rw,noatime /dev/vda /newroot || exec \$b sh
for d in proc sys dev; do \$b mount --move /\$d /newroot/\$d; done
exec \$b switch_root /newroot /sbin/init
S
chmod 755 "$initrd/init"
(cd "$initrd" && find . | cpio -o -H newc --quiet -R 0:0 | gzip -1) >"$dir/initrd"

# 5. The disk (sparse; 1 GiB free).
size=$(( $(du -sm "$root" | cut -f1) + 1024 ))
say "disk of $size MiB"
rm -f "$dir/root.img"; truncate -s "${size}M" "$dir/root.img"
# With a journal, as on any machine that is to survive a power cut; a small one, which is quickly written.
mke2fs -q -F -t ext4 -J size=16 -m 0 -d "$root" "$dir/root.img"
echo "$stamp" >"$dir/stamp"
[ -z "${SUDO_UID:-}" ] || chown -R "$SUDO_UID:${SUDO_GID:-}" "$dir"  # whoever asked for it through sudo is to use it
say "done: $(du -sm "$dir/root.img" | cut -f1) MiB in $dir"
