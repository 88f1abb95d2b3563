using System.Runtime.InteropServices;
using System.Text;

namespace Rpal.Hosting.Loading;

/// <summary>Memory that a new task reads until it has its program.</summary>
internal sealed unsafe class TaskMemory : IDisposable
{
    private readonly List<nint> _blocks = [];

    public T* Allocate<T>(int bytes)
        where T : unmanaged
    {
        void* p = NativeMemory.AlignedAlloc((nuint)bytes, 64);
        NativeMemory.Clear(p, (nuint)bytes);
        _blocks.Add((nint)p);
        return (T*)p;
    }

    public T* Copy<T>(ReadOnlySpan<T> items)
        where T : unmanaged
    {
        T* p = Allocate<T>(items.Length * sizeof(T));
        items.CopyTo(new Span<T>(p, items.Length));
        return p;
    }

    public byte* Text(string text) => Copy<byte>(Encoding.UTF8.GetBytes(text + "\0"));

    /// <summary>argv or envp: addresses of texts, and a zero.</summary>
    public nint* Texts(IEnumerable<string> texts) => Copy<nint>([.. texts.Select(t => (nint)Text(t)), 0]);

    public void Leak() => _blocks.Clear();

    public void Dispose()
    {
        foreach (nint p in _blocks)
        {
            NativeMemory.AlignedFree((void*)p);
        }

        _blocks.Clear();
    }
}
