using Rpal.Hosting.Loading;
using Rpal.Linux;

namespace Rpal.Hosting.Tests.Loading;

public sealed class AddressMapTests
{
    [Fact]
    public void The_kernels_answers_and_its_text_say_the_same_of_a_range()
    {
        const int pages = 64;
        nint at = Sys.Mmap(0, pages * 4096, Prot.None, MapFlags.Private | MapFlags.Anonymous, -1, 0);
        Assert.True(at > 0);
        for (int i = 1; i < pages - 1; i += 2)
        {
            Assert.Equal(0, Sys.Munmap(at + i * 4096, 4096));
        }

        List<(long Start, long End)> asked = [], read = [];
        int looked = AddressMap.Read(at, at + pages * 4096, asked);
        AddressMap.ReadText(at, at + pages * 4096, read);
        Assert.Equal(read, asked);
        Assert.Equal(pages / 2, asked.Count);                    // the last two touch
        Assert.Equal(at + 2 * 4096, asked[1].Start);
        Assert.True(looked >= asked.Count);
        Assert.Equal(0, Sys.Munmap(at, pages * 4096));
    }

    [Fact]
    public void A_range_where_nothing_lies_is_empty()
    {
        List<(long Start, long End)> found = [];
        AddressMap.Read(0x1000_0000_0000, 0x1000_0000_1000, found);
        Assert.Empty(found);
        Assert.Null(AddressMap.Line(0x1000_0000_0000, 0x1000_0000_1000));
    }
}
