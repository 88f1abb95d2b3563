using System.Runtime.InteropServices;

namespace Rpal.Machine.Blocks;

/// <summary>A system call in a list that machine code works off: a member's start, and what its agent does for the host.</summary>
/// <remarks><code>0 number i64   8 arguments u64[5]   48 required u64   56 result i64</code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct SystemCallStep
{
    public const int SizeBytes = 64;
    public const int NumberOffset = 0, ArgumentsOffset = 8, RequiredOffset = 48, ResultOffset = 56;

    [FieldOffset(NumberOffset)] public long Number;
    [FieldOffset(ArgumentsOffset)] public fixed long Arguments[5];
    [FieldOffset(RequiredOffset)] public long Required;
    [FieldOffset(ResultOffset)] public long Result;
}
