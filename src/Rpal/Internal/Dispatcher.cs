using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Unicode;
using Rpal.Machine.Blocks;

namespace Rpal.Internal;

/// <summary>Where a call enters this process: on a receiver's stack, executed by whoever called.</summary>
internal static unsafe class Dispatcher
{
    /// <summary>Methods of a service are numbered below this.</summary>
    public const int MethodCapacity = 1024;

    /// <summary>Keeps the methods of each service, by its index in the directory, while receivers have their address.</summary>
    private static readonly MethodHandler?[]?[] s_methods = new MethodHandler?[]?[FamilyLayout.ServiceCapacity];

    public static nint Entry => (nint)(delegate* unmanaged<CallFrame*, ReceiverBlock*, void>)&Dispatch;

    /// <summary>A table of methods that does not move: its address is the receivers' cookie.</summary>
    public static MethodHandler?[] NewMethods(int service) => s_methods[service] = GC.AllocateArray<MethodHandler?>(MethodCapacity, pinned: true);

    public static long CookieOf(MethodHandler?[] methods) => (long)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(methods));

    /// <summary>No receiver has the table's address any more.</summary>
    public static void Forget(int service, MethodHandler?[] methods) => Interlocked.CompareExchange(ref s_methods[service], null, methods);

    [UnmanagedCallersOnly]
    private static void Dispatch(CallFrame* frame, ReceiverBlock* receiver)
    {
        Debug.Assert(OwnMemory.IsLent(frame, receiver->Sender), "A frame never points outside its sender's slot.");
        try
        {
            uint method = (uint)frame->Method;
            if (method < MethodCapacity && Unsafe.Add(ref Unsafe.AsRef<MethodHandler?>((void*)receiver->Cookie), (nint)method) is { } handler)
            {
                handler.Invoke(handler, frame);
            }
            else
            {
                frame->Status = FrameStatus.NoSuchMethod;
            }
        }
        catch (Exception e)
        {
            Report(e, frame, receiver->Sender->ErrorText);
        }

        ReceiverThread.LeaveNothing(receiver);
    }

    /// <summary>The exception as text in the sender's error buffer: type, message and stack, each ended by a zero, cut at the buffer's end.</summary>
    /// <remarks>An exception's own code may throw; nothing may leave here, it would end the process.</remarks>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Report(Exception e, CallFrame* frame, byte* text)
    {
        int length = 0;
        foreach (string part in (ReadOnlySpan<string>)[e.GetType().FullName ?? e.GetType().Name, TextOf(e, static e => e.Message), TextOf(e, static e => e.ToString())])
        {
            Span<byte> room = new(text + length, Math.Max(0, FamilyLayout.ErrorTextBytes - length - 1));
            Utf8.FromUtf16(part, room, out _, out int written, replaceInvalidSequences: true);
            room[..written].Replace((byte)0, (byte)' ');
            length += written;
            if (length < FamilyLayout.ErrorTextBytes)
            {
                text[length++] = 0;
            }
        }

        frame->ErrorLengthBytes = length;
        frame->Status = FrameStatus.Threw;
    }

    private static string TextOf(Exception e, Func<Exception, string?> text)
    {
        try
        {
            return text(e) ?? "";
        }
        catch (Exception inner)
        {
            return $"({inner.GetType()} while this was asked for)";
        }
    }

    /// <summary>The other side of <see cref="Report"/>.</summary>
    public static RemoteCallException Read(string service, ThreadBlock* sender, int lengthBytes)
    {
        var text = new ReadOnlySpan<byte>(sender->ErrorText, Math.Clamp(lengthBytes, 0, FamilyLayout.ErrorTextBytes));
        string Next(ref ReadOnlySpan<byte> rest)
        {
            int end = rest.IndexOf((byte)0);
            ReadOnlySpan<byte> part = end < 0 ? rest : rest[..end];
            rest = end < 0 ? default : rest[(end + 1)..];
            return Encoding.UTF8.GetString(part);
        }

        string type = Next(ref text), message = Next(ref text), stack = Next(ref text);
        return new RemoteCallException(service, type, message, stack);
    }
}
