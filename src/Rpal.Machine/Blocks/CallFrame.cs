using System.Runtime.InteropServices;

namespace Rpal.Machine.Blocks;

/// <summary>What a handler's side reports in <see cref="CallFrame.Status"/>.</summary>
internal enum FrameStatus : uint
{
    /// <summary>The handler returned.</summary>
    Done = 0,

    /// <summary>The handler threw; the text is in the sender's thread block's error text.</summary>
    Threw = 1,

    /// <summary>The service has no such method.</summary>
    NoSuchMethod = 2,

    /// <summary>The request has not the length that the method takes; <see cref="CallFrame.Detail"/> is the length it wants.</summary>
    WrongRequestLength = 3,

    /// <summary>The answer's room is not what the method needs; <see cref="CallFrame.Detail"/> is the length it wants.</summary>
    WrongAnswerLength = 4,
}

/// <summary>One call, on the sender's stack: where the request lies and where the answer goes. Written by the sender, then by the handler's side.</summary>
/// <remarks><code>
///  0 method i32   4 status u32   8 request u64   16 request length i32   20 answer capacity i32
/// 24 answer u64  32 answer length i32   36 detail i32   40 registration u64   48 error length i32   52 zero
/// </code></remarks>
[StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
internal unsafe struct CallFrame
{
    public const int SizeBytes = 64, RegistrationOffset = 40;

    [FieldOffset(0)] public int Method;
    [FieldOffset(4)] public FrameStatus Status;
    [FieldOffset(8)] public byte* Request;
    [FieldOffset(16)] public int RequestLengthBytes;
    [FieldOffset(20)] public int AnswerCapacityBytes;
    [FieldOffset(24)] public byte* Answer;
    [FieldOffset(32)] public int AnswerLengthBytes;
    [FieldOffset(36)] public int Detail;
    [FieldOffset(RegistrationOffset)] public ulong Registration;
    [FieldOffset(48)] public int ErrorLengthBytes;
}
