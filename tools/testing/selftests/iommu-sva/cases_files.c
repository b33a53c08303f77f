// SPDX-License-Identifier: GPL-2.0-only
/* The device reads and writes mapped files. */

#define FILE_LEN	(64 * PAGE)

FIXTURE(files) {
	struct sva_env env;
	struct sva_queue q;
	char path[64];
	int fd;
};

/* On tmpfs and on a file system that has to write dirty pages back. */
FIXTURE_VARIANT(files) {
	const char *dir;
	long magic;
};

FIXTURE_VARIANT_ADD(files, tmpfs) {
	.dir = "/tmp",
	.magic = TMPFS_MAGIC,
};

FIXTURE_VARIANT_ADD(files, ext2) {
	.dir = "/mnt/disk",
	.magic = EXT2_SUPER_MAGIC,
};

FIXTURE_SETUP(files)
{
	struct statfs fs;

	env_setup(_metadata, &self->env);
	self->fd = -1;
	ASSERT_EQ(0, statfs(variant->dir, &fs));
	ASSERT_EQ(variant->magic, fs.f_type) {
		TH_LOG("the file system wanted in %s is not mounted", variant->dir);
	}
	snprintf(self->path, sizeof(self->path), "%s/sva_test.%d", variant->dir, getpid());
	self->fd = open(self->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ASSERT_LE(0, self->fd);
	start(&self->q, &self->env.sva[0]);
}

FIXTURE_TEARDOWN(files)
{
	sva_close(&self->q);
	close(self->fd);
	unlink(self->path);
	env_teardown(_metadata, &self->env);
}

static void file_write(struct __test_metadata *_metadata, int fd, __u32 seed)
{
	__u8 *bytes = malloc(FILE_LEN);

	pattern(bytes, FILE_LEN, seed);
	ASSERT_EQ(FILE_LEN, pwrite(fd, bytes, FILE_LEN, 0));
	ASSERT_EQ(0, fsync(fd));
	free(bytes);
}

static __u8 *file_map(struct __test_metadata *_metadata, int fd, int prot, int flags)
{
	__u8 *memory = mmap(ANYWHERE, FILE_LEN, prot, flags, fd, 0);

	ASSERT_NE(MAP_FAILED, memory);
	return memory;
}

/* What a process sees that opens the file afresh, after the page cache has been dropped. */
static void file_read(struct __test_metadata *_metadata, const char *path, __u8 *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, sva_write_text("/proc/sys/vm/drop_caches", "3"));
	ASSERT_EQ(FILE_LEN, pread(fd, bytes, FILE_LEN, 0));
	close(fd);
}

TEST_F(files, mapped_file_is_readable)
{
	__u8 *memory;

	file_write(_metadata, self->fd, 1);
	ASSERT_EQ(0, posix_fadvise(self->fd, 0, 0, POSIX_FADV_DONTNEED));
	memory = file_map(_metadata, self->fd, PROT_READ, MAP_SHARED);
	/* The device is the first to touch the mapping. */
	EXPECT_EQ(run_ok(&self->q, sva_checksum(memory, FILE_LEN)).value,
		  sva_fnv1a(memory, FILE_LEN));
	EXPECT_EQ(-1, differs_from_pattern(memory, FILE_LEN, 1));
	refused(&self->q, sva_fill(memory, 8, 0));
}

TEST_F(files, private_mapping_keeps_the_devices_bytes_from_the_file)
{
	__u8 *memory, *bytes = malloc(FILE_LEN);

	file_write(_metadata, self->fd, 2);
	memory = file_map(_metadata, self->fd, RW, MAP_PRIVATE);
	run_ok(&self->q, sva_checksum(memory, FILE_LEN));
	run_ok(&self->q, sva_fill(memory, FILE_LEN, 0x99));
	EXPECT_EQ(-1, differs(memory, FILE_LEN, 0x99));
	munmap(memory, FILE_LEN);
	file_read(_metadata, self->path, bytes);
	EXPECT_EQ(-1, differs_from_pattern(bytes, FILE_LEN, 2));
}

TEST_F(files, shared_mapping_brings_the_devices_bytes_to_the_file)
{
	__u8 *memory, *bytes = malloc(FILE_LEN);

	file_write(_metadata, self->fd, 3);
	memory = file_map(_metadata, self->fd, RW, MAP_SHARED);
	run_ok(&self->q, sva_fill(memory, FILE_LEN, 0x98));
	ASSERT_EQ(0, msync(memory, FILE_LEN, MS_SYNC));
	munmap(memory, FILE_LEN);
	file_read(_metadata, self->path, bytes);
	EXPECT_EQ(-1, differs(bytes, FILE_LEN, 0x98));
}

TEST_F(files, write_after_read_reaches_the_file)
{
	__u8 *memory, *bytes = malloc(FILE_LEN);
	__u8 round;

	file_write(_metadata, self->fd, 4);
	memory = file_map(_metadata, self->fd, RW, MAP_SHARED);
	/* Again and again from clean: each write must make the page dirty anew. */
	for (round = 1; round < 5; round++) {
		EXPECT_EQ(run_ok(&self->q, sva_checksum(memory, FILE_LEN)).value,
			  sva_fnv1a(memory, FILE_LEN));
		run_ok(&self->q, sva_fill(memory, FILE_LEN, round));
		ASSERT_EQ(0, msync(memory, FILE_LEN, MS_SYNC));
		file_read(_metadata, self->path, bytes);
		ASSERT_EQ(-1, differs(bytes, FILE_LEN, round));
	}
	munmap(memory, FILE_LEN);
	file_read(_metadata, self->path, bytes);
	EXPECT_EQ(-1, differs(bytes, FILE_LEN, round - 1));
}

TEST_F(files, page_beyond_the_end_is_refused)
{
	__u8 *memory;
	struct sva_result result;

	ASSERT_EQ(0, ftruncate(self->fd, 2 * PAGE));
	memory = file_map(_metadata, self->fd, RW, MAP_SHARED);
	result = refused(&self->q, sva_fill(memory, 4 * PAGE, 0x31));
	EXPECT_EQ((uintptr_t)memory + 2 * PAGE, result.fault_addr);
	EXPECT_EQ(2 * PAGE, result.bytes);
	EXPECT_EQ(-1, differs(memory, 2 * PAGE, 0x31));
}

TEST_F(files, truncation_takes_the_pages_away)
{
	__u8 *memory;

	file_write(_metadata, self->fd, 5);
	memory = file_map(_metadata, self->fd, RW, MAP_SHARED);
	run_ok(&self->q, sva_fill(memory, FILE_LEN, 0x32));
	ASSERT_EQ(0, ftruncate(self->fd, PAGE));
	run_ok(&self->q, sva_fill(memory, PAGE, 0x33));
	refused(&self->q, sva_fill(memory + PAGE, 8, 0x34));
	refused(&self->q, sva_checksum(memory + FILE_LEN - PAGE, 8));

	/* The file grows again: what was cut off is zero now. */
	ASSERT_EQ(0, ftruncate(self->fd, FILE_LEN));
	EXPECT_EQ(run_ok(&self->q, sva_checksum(memory, FILE_LEN)).value,
		  sva_fnv1a(memory, FILE_LEN));
	EXPECT_EQ(-1, differs(memory + PAGE, FILE_LEN - PAGE, 0));
}

/* tmpfs knows only from the page table that a page was written: no page fault tells it. */
TEST(device_write_sets_the_dirty_bit_that_its_read_left_clear)
{
	struct sva_env env = {};
	struct sva_queue q;
	volatile __u8 *memory;
	int fd = memfd_create("sva_test", MFD_CLOEXEC);
	size_t at;

	env_setup(_metadata, &env);
	start(&q, &env.sva[0]);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, FILE_LEN));
	memory = file_map(_metadata, fd, RW, MAP_SHARED);
	for (at = 0; at < FILE_LEN; at += PAGE)
		(void)memory[at];
	ASSERT_EQ(0, smaps_kb((void *)memory, "Private_Dirty"));
	ASSERT_EQ(FILE_LEN / KiB, smaps_kb((void *)memory, "Private_Clean"));

	/* The read leaves translations behind that the write can use. */
	run_ok(&q, sva_checksum((void *)memory, FILE_LEN));
	EXPECT_EQ(0, smaps_kb((void *)memory, "Private_Dirty"));
	run_ok(&q, sva_fill((void *)memory, FILE_LEN, 0x55));
	EXPECT_EQ(FILE_LEN / KiB, smaps_kb((void *)memory, "Private_Dirty"));
	EXPECT_EQ(-1, differs((void *)memory, FILE_LEN, 0x55));
	sva_close(&q);
	env_teardown(_metadata, &env);
}

TEST(hole_punched_into_a_file_reads_as_zero)
{
	struct sva_env env = {};
	struct sva_queue q;
	__u8 *memory;
	int fd = memfd_create("sva_test", MFD_CLOEXEC);

	env_setup(_metadata, &env);
	start(&q, &env.sva[0]);
	file_write(_metadata, fd, 6);
	memory = file_map(_metadata, fd, RW, MAP_SHARED);
	run_ok(&q, sva_fill(memory, FILE_LEN, 0x35));
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8 * PAGE,
			       40 * PAGE));
	EXPECT_EQ(run_ok(&q, sva_checksum(memory, FILE_LEN)).value,
		  sva_fnv1a(memory, FILE_LEN));
	EXPECT_EQ(-1, differs(memory + 8 * PAGE, 40 * PAGE, 0));
	EXPECT_EQ(-1, differs(memory, 8 * PAGE, 0x35));
	sva_close(&q);
	env_teardown(_metadata, &env);
}
