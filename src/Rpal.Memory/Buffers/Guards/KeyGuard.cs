using Rpal.Linux;

namespace Rpal.Memory.Buffers.Guards;

/// <summary>Protection keys, pkeys(7): the CPU denies the range to every thread whose register (PKRU) does not allow its key, and a lease changes only that register.</summary>
/// <remarks>A lease opens the bytes for its own thread, which it never leaves. WRPKRU is unprivileged: this stops accidents, not malice. Threads begin without access.</remarks>
internal sealed unsafe class KeyGuard : BufferGuard
{
    private const int KeyCapacity = 16;

    [ThreadStatic] private static int[]? t_leases, t_writers;

    private readonly int _key;

    private KeyGuard(nint address, long roomBytes, int key)
        : base(address, roomBytes) =>
        _key = key;

    /// <summary>Why there is no key to be had; null when there is one.</summary>
    public static string? Missing()
    {
        int key = Sys.PkeyAlloc(Sys.PkeyDisableAccess);
        _ = key < 0 ? 0 : Sys.PkeyFree(key);
        return key >= 0 ? null : $"pkey_alloc: {ErrnoText.Describe(key)}; the CPU has no protection keys (pku in /proc/cpuinfo), the kernel does not offer them, or all 15 are in use";
    }

    /// <returns>Null where there is no key.</returns>
    public static KeyGuard? TryCreate(nint address, long roomBytes)
    {
        int key = Sys.PkeyAlloc(Sys.PkeyDisableAccess);
        return key < 0 ? null : new KeyGuard(address, roomBytes, key);
    }

    public override void Begin() => Check("pkey_mprotect", Sys.PkeyMprotect(Address, RoomBytes, Prot.Read | Prot.Write, _key));

    public override void Enter(bool write)
    {
        (t_leases ??= new int[KeyCapacity])[_key]++;
        (t_writers ??= new int[KeyCapacity])[_key] += write ? 1 : 0;
        Set();
        KillPoints.Reach(KillPoint.BufferGuardOpened);
    }

    public override void Leave()
    {
        t_leases![_key]--;
        t_writers![_key] = 0;                                    // a writer is alone
        Set();
        KillPoints.Reach(KillPoint.BufferGuardClosed);
    }

    public override void End()
    {
        _ = Sys.PkeyMprotect(Address, RoomBytes, Prot.Read | Prot.Write, 0);
        _ = Sys.PkeyFree(_key);
    }

    protected override bool Open(bool write) => true;

    protected override void Close()
    {
    }

    private void Set()
    {
        uint rights = t_leases![_key] == 0 ? Sys.PkeyDisableAccess : t_writers![_key] == 0 ? Sys.PkeyDisableWrite : 0;
        KeyRegister.Change(3u << 2 * _key, rights << 2 * _key);
    }
}
