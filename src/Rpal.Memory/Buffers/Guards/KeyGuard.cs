using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Memory.Buffers.Guards;

/// <summary>Protection keys, pkeys(7): the CPU denies the range to every thread whose register (PKRU) does not allow its key, and a lease changes only that register.</summary>
/// <remarks>
/// <para>A lease opens the bytes for its own thread, which it never leaves. WRPKRU is unprivileged: this stops accidents, not malice.</para>
/// <para>A thread begins with the rights of the thread that created it (clone(2) copies the register): one that was created under a lease can touch the bytes until its
/// own first lease of that buffer has ended. Signal handlers begin without rights (<see cref="FaultEmitter"/>).</para>
/// <para>Not in a family: keys belong to the address space, all members', and calls change the context of a kernel thread without its register.</para>
/// </remarks>
internal sealed unsafe class KeyGuard : BufferGuard
{
    private const int KeyCapacity = 16;

    [ThreadStatic] private static Leases[]? t_leases;

    private readonly int _key;

    private KeyGuard(nint address, long roomBytes, int key)
        : base(address, roomBytes) =>
        _key = key;

    private static bool IsInFamily => Sys.GetAuxiliaryValue(FamilyLayout.AuxiliaryVectorType) != 0;

    /// <summary>Why there is no key to be had; null when there is one.</summary>
    public static string? Missing()
    {
        if (IsInFamily)
        {
            return "this process is a member of a family, whose members share the address space and its 15 keys";
        }

        int key = Sys.PkeyAlloc(Sys.PkeyDisableAccess);
        _ = key < 0 ? 0 : Sys.PkeyFree(key);
        return key >= 0 ? null : $"pkey_alloc: {ErrnoText.Describe(key)}; the CPU has no protection keys (pku in /proc/cpuinfo), the kernel does not offer them, or all 15 are in use";
    }

    /// <returns>Null where there is no key.</returns>
    public static KeyGuard? TryCreate(nint address, long roomBytes)
    {
        int key = IsInFamily ? -1 : Sys.PkeyAlloc(Sys.PkeyDisableAccess);
        return key < 0 ? null : new KeyGuard(address, roomBytes, key);
    }

    protected override void BeginLocked() => Check("pkey_mprotect", Sys.PkeyMprotect(Address, RoomBytes, Prot.Read | Prot.Write, _key));

    public override void Enter(bool write)
    {
        ref Leases mine = ref Mine();
        mine.Count++;
        mine.CanWrite |= write;
        Set(mine);
        if (IsFrozen)                                            // after the rights: else the key could be the next buffer's before
        {
            Leave();
            ThrowIfFrozen();
        }

        KillPoints.Reach(KillPoint.BufferGuardOpened);
    }

    public override void Leave()
    {
        if (t_leases is not { } all || all[_key].Guard != this)
        {
            return;                                              // the key is another buffer's by now, and so are the thread's rights
        }

        ref Leases mine = ref all[_key];
        mine.Count--;
        mine.CanWrite = false;                                   // a writer is alone
        Set(mine);
        KillPoints.Reach(KillPoint.BufferGuardClosed);
    }

    /// <summary>What the key guarded is gone, or was never guarded.</summary>
    public override void End() => _ = Sys.PkeyFree(_key);

    protected override bool Open(bool write) => true;

    protected override void Close()
    {
    }

    /// <summary>What the calling thread has of this buffer. A key is used again: what another buffer left there is not this one's.</summary>
    private ref Leases Mine()
    {
        ref Leases mine = ref (t_leases ??= new Leases[KeyCapacity])[_key];
        if (mine.Guard != this)
        {
            mine = new Leases { Guard = this };
        }

        return ref mine;
    }

    private void Set(in Leases mine)
    {
        uint rights = mine.Count <= 0 ? Sys.PkeyDisableAccess : mine.CanWrite ? 0 : Sys.PkeyDisableWrite;
        KeyRegister.Change(3u << 2 * _key, rights << 2 * _key);
    }

    /// <summary>A thread's leases of one buffer.</summary>
    private struct Leases
    {
        public KeyGuard? Guard;
        public int Count;
        public bool CanWrite;
    }
}
