using Rpal.Hosting.Loading;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Tests.Loading;

public sealed class ElfLoaderTests : IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose()
    {
        _folder.Dispose();
        _ = Sys.Munmap(unchecked((nint)FamilyLayout.SlotBase), unchecked((nuint)FamilyLayout.SlotBytes));
    }

    [Fact]
    public void A_file_cut_short_after_it_was_read_is_refused_by_its_name()
    {
        string path = _folder.File("program", File.ReadAllBytes("/bin/sleep"));
        using ExecutableFile file = ExecutableFile.Open(path);
        ElfFile elf = ElfFile.Read(file);
        File.WriteAllBytes(path, []);
        MemberStartException refused = Assert.Throws<MemberStartException>(() => ElfLoader.Load(elf, FamilyLayout.SlotBase));
        Assert.Equal(126, refused.ExitCode);
        Assert.StartsWith($"{path}: ended at its byte", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_replaced_after_it_was_read_does_not_change_what_is_loaded()
    {
        string path = _folder.File("program", File.ReadAllBytes("/bin/sleep"));
        using ExecutableFile file = ExecutableFile.Open(path);
        ElfFile elf = ElfFile.Read(file);
        File.Delete(path);
        _ = _folder.File("program", "no program at all");
        _ = ElfLoader.Load(elf, FamilyLayout.SlotBase);
        CheckBytes(elf, File.ReadAllBytes("/bin/sleep"));
    }

    [NeedsGccTheory]
    [InlineData("")]
    [InlineData("-static-pie")]
    [InlineData("-Wl,-z,max-page-size=0x200000")]
    public void What_lies_in_the_file_is_in_memory_and_zeros_follow(string option)
    {
        string path = option.Length == 0 ? Programs.Probe() : Programs.Probe(option);
        using ExecutableFile file = ExecutableFile.Open(path);
        ElfFile elf = ElfFile.Read(file);
        _ = ElfLoader.Load(elf, FamilyLayout.SlotBase);
        CheckBytes(elf, File.ReadAllBytes(path));
    }

    private static unsafe void CheckBytes(ElfFile elf, byte[] bytes)
    {
        long bias = FamilyLayout.SlotBase - elf.LowAddress;
        Assert.Contains(elf.Segments, s => s.MemoryBytes > s.FileBytes);
        foreach (ElfSegment s in elf.Segments.Where(s => (s.Prot & Prot.Read) != 0))
        {
            Assert.True(new ReadOnlySpan<byte>((void*)(s.Address + bias), (int)s.FileBytes)
                .SequenceEqual(bytes.AsSpan((int)s.FileOffset, (int)s.FileBytes)));
            if ((s.Prot & Prot.Write) != 0)
            {
                Assert.False(new ReadOnlySpan<byte>((void*)(s.Address + s.FileBytes + bias), (int)(s.MemoryBytes - s.FileBytes)).ContainsAnyExcept((byte)0));
            }
        }
    }
}
