using System.Runtime.InteropServices;

namespace Rpal.Memory.Parties;

/// <summary>
/// One process that has opened a segment. Written by that process, or by the one that clears it away after its death; whether it lives
/// does not stand here but is asked of the kernel, see <see cref="PartyTable"/>.
/// </summary>
/// <remarks>0 state u32, a PartyState | 4 generation u32 | 8 pid s32 | 12 zero | 16 name, UTF-8, zero-padded, 48 bytes. All but state and generation are for messages only.</remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct PartyEntry
{
    public const int SizeBytes = 64;
    public const int NameBytes = 48;

    [FieldOffset(0)] public uint State;
    [FieldOffset(4)] public uint Generation;
    [FieldOffset(8)] public int Pid;
    [FieldOffset(16)] public fixed byte Name[NameBytes];
}

/// <summary>Whether a party's number is in use.</summary>
/// <remarks><code>
/// Free ──claim (its lock taken)──► Active ──dispose: its view gone, all given back──► Free
///                                     └──process dies, or leaves without giving back: lock released──► still Active:
///                                        whoever finds it takes the lock, recovers, ──► Free
/// </code></remarks>
internal enum PartyState : uint
{
    Free = 0,
    Active = 1,
}
