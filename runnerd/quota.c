#include "quota.h"

#include <errno.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/quota.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PRJQUOTA
#define PRJQUOTA 2
#endif

enum { BLOCK_BYTES = 512 /* of struct fs_disk_quota */ };

/* By descriptor, so that no name of the device is needed (Linux 5.14). */
static int
quotactl_at(int dir, unsigned command, uint32_t id, void *argument)
{
	return (int)syscall(SYS_quotactl_fd, dir, QCMD(command, PRJQUOTA), id, argument);
}

bool
quota_enforced(int dir)
{
	struct fs_quota_statv state = {.qs_version = FS_QSTATV_VERSION1};

	return quotactl_at(dir, Q_XGETQSTATV, 0, &state) == 0 &&
	       (state.qs_flags & FS_QUOTA_PDQ_ENFD);
}

int
quota_allow(int dir, uint32_t project, uint64_t bytes, uint64_t inodes)
{
	struct fs_disk_quota now = {0}, limit = {.d_version = FS_DQUOT_VERSION,
						 .d_flags = FS_PROJ_QUOTA,
						 .d_fieldmask = FS_DQ_BHARD | FS_DQ_IHARD,
						 .d_id = project};

	if (quotactl_at(dir, Q_XGETQUOTA, project, &now) < 0 && errno != ENOENT && errno != ESRCH)
		return -errno;
	limit.d_blk_hardlimit = now.d_bcount + bytes / BLOCK_BYTES;
	limit.d_ino_hardlimit = now.d_icount + inodes;
	return quotactl_at(dir, Q_XSETQLIM, project, &limit) < 0 ? -errno : 0;
}

int
quota_enter(int dir, uint32_t project)
{
	struct fsxattr attributes;

	if (ioctl(dir, FS_IOC_FSGETXATTR, &attributes) < 0)
		return -errno;
	attributes.fsx_projid = project;
	attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
	return ioctl(dir, FS_IOC_FSSETXATTR, &attributes) < 0 ? -errno : 0;
}

bool
quota_holds(int dir, uint32_t project)
{
	struct fsxattr attributes;

	return ioctl(dir, FS_IOC_FSGETXATTR, &attributes) == 0 &&
	       attributes.fsx_projid == project && (attributes.fsx_xflags & FS_XFLAG_PROJINHERIT);
}
