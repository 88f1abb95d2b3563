namespace Rpal.Linux.Tests;

public sealed unsafe class MemoryTests
{
    private const int PageBytes = 4096;
    private const int AnonymousPrivate = MapFlags.Private | MapFlags.Anonymous;

    [Fact]
    public void A_fixed_mapping_over_another_one_is_refused()
    {
        nint page = Sys.Mmap(0, PageBytes, Prot.Read | Prot.Write, AnonymousPrivate, -1, 0);
        Assert.True(page > 0, ErrnoText.Describe((int)page));

        Assert.Equal(-(nint)(int)Errno.EEXIST, Sys.Mmap(page, PageBytes, Prot.Read, AnonymousPrivate | MapFlags.FixedNoreplace, -1, 0));

        Assert.Equal(0, Sys.Munmap(page, PageBytes));
    }

    [Fact]
    public void Mincore_tells_mapped_from_unmapped()
    {
        nint page = Sys.Mmap(0, PageBytes, Prot.Read | Prot.Write, AnonymousPrivate, -1, 0);
        byte resident;
        *(byte*)page = 1;
        Assert.Equal(0, Sys.Mincore(page, PageBytes, &resident));
        Assert.Equal(1, resident & 1);

        Assert.Equal(0, Sys.Munmap(page, PageBytes));
        Assert.Equal(-(int)Errno.ENOMEM, Sys.Mincore(page, PageBytes, &resident));
    }

    [Fact]
    public void Dropped_pages_read_as_zero_and_a_moved_mapping_keeps_its_bytes()
    {
        nint page = Sys.Mmap(0, PageBytes, Prot.Read | Prot.Write, AnonymousPrivate, -1, 0);
        *(int*)page = 42;
        nint moved = Sys.Mremap(page, PageBytes, 64 * PageBytes, MremapFlags.MayMove, 0);
        Assert.True(moved > 0);
        Assert.Equal(42, *(int*)moved);

        Assert.Equal(0, Sys.Madvise(moved, PageBytes, MemoryAdvice.DontNeed));
        Assert.Equal(0, *(int*)moved);
        Assert.Equal(0, Sys.Mprotect(moved, PageBytes, Prot.None));
        Assert.Equal(0, Sys.Munmap(moved, 64 * PageBytes));
    }

    [Fact]
    public void Process_vm_copies_within_the_own_process_and_reports_a_hole()
    {
        long from = 0x0123456789abcdef, to = 0;
        Assert.Equal(8, Sys.ProcessVmReadv(Sys.GetPid(), (nint)(&from), &to, 8));
        Assert.Equal(from, to);

        from = 7;
        Assert.Equal(8, Sys.ProcessVmWritev(Sys.GetPid(), (nint)(&to), &from, 8));
        Assert.Equal(7, to);

        Assert.Equal(-(nint)(int)Errno.EFAULT, Sys.ProcessVmReadv(Sys.GetPid(), 16, &to, 8));
    }
}
