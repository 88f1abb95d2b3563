using System.Runtime.InteropServices;

namespace Rpal.Memory;

/// <summary>A descriptor that stays open while it is used: its number is another file's as soon as another thread has closed it.</summary>
internal readonly ref struct HandleUse : IDisposable
{
    private readonly SafeHandle _handle;

    /// <exception cref="ObjectDisposedException">It is closed.</exception>
    public HandleUse(SafeHandle handle)
    {
        bool added = false;
        handle.DangerousAddRef(ref added);
        _handle = handle;
    }

    public int Fd => (int)_handle.DangerousGetHandle();

    public void Dispose() => _handle.DangerousRelease();
}
