namespace Rpal.Linux.Tests;

public sealed unsafe class FileTests
{
    [Fact]
    public void Readlink_gives_the_target_or_null()
    {
        Assert.Equal(Environment.ProcessPath, Sys.Readlink("/proc/self/exe"));
        Assert.Null(Sys.Readlink("/proc/self/status"));
        Assert.Null(Sys.Readlink("/does/not/exist"));
    }

    [Fact]
    public void A_written_file_reads_back_at_an_offset()
    {
        string path = Path.Combine(Path.GetTempPath(), $"rpal-ünï-{Guid.NewGuid():N}");
        Assert.Equal(-(int)Errno.ENOENT, Sys.Access(path));
        int fd = Sys.Open(path, OpenFlags.ReadWrite | OpenFlags.Create | OpenFlags.Exclusive | OpenFlags.CloseOnExec, 0x180);
        Assert.True(fd >= 0, ErrnoText.Describe(fd));
        try
        {
            Assert.Equal(0, Sys.Access(path));
            Assert.True(File.Exists(path));
            long value = 0x1122334455667788;
            int upper;
            Assert.Equal(8, Sys.Write(fd, &value, 8));
            Assert.Equal(4, Sys.Pread(fd, &upper, 4, 4));
            Assert.Equal(0x11223344, upper);
        }
        finally
        {
            Assert.Equal(0, Sys.Close(fd));
            File.Delete(path);
        }
    }

    [Fact]
    public void A_path_with_a_zero_inside_throws() =>
        Assert.Throws<ArgumentException>(() => Sys.Open("/dev/null\0x", OpenFlags.ReadOnly));

    [Theory]
    [InlineData(2)]
    [InlineData(-2)]
    public void An_errno_is_described_by_name_and_text(int errno) =>
        Assert.Equal("ENOENT (No such file or directory)", ErrnoText.Describe(errno));

    [Theory]
    [InlineData(9999)]
    [InlineData(int.MinValue)]
    public void An_unknown_errno_is_described_too(int errno) => Assert.StartsWith("errno ", ErrnoText.Describe(errno), StringComparison.Ordinal);

    [Theory]
    [InlineData("6.8.0-45-generic", 6, 8)]
    [InlineData("6.12", 6, 12)]
    [InlineData("7.1-rc3", 7, 1)]
    public void A_kernel_release_is_parsed(string release, int major, int minor) =>
        Assert.Equal(new Version(major, minor), KernelVersion.Parse(release));

    [Fact]
    public void The_running_kernel_has_a_version()
    {
        Assert.True(KernelVersion.IsAtLeast(3, 0));
        Assert.False(KernelVersion.IsAtLeast(1000, 0));
        Assert.Throws<FormatException>(() => KernelVersion.Parse("linux"));
    }
}
