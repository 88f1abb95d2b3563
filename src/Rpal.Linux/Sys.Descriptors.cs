namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    private const int SolSocket = 1, ScmRights = 1, MsgNoSignal = 0x4000, MsgDontWait = 0x40, MsgCloseOnExec = 0x40000000, Dupfd = 0;
    private const int ControlHeaderBytes = 16;

    /// <summary>sendmsg(2) with SCM_RIGHTS: bytes and copies of descriptors. Source: unix(7), cmsg(3).</summary>
    /// <remarks>What is sent lives in the socket until it is received, also when the sender has died meanwhile.</remarks>
    /// <returns>Bytes sent, or -errno: EPIPE nobody can receive any more, EAGAIN the socket is full: it does not wait, EMFILE too many in flight.</returns>
    public static nint SendDescriptors(int socket, ReadOnlySpan<byte> bytes, ReadOnlySpan<int> descriptors)
    {
        byte* control = stackalloc byte[ControlHeaderBytes + (descriptors.Length * sizeof(int) + 7 & ~7)];
        *(long*)control = ControlHeaderBytes + descriptors.Length * sizeof(int);
        (((int*)control)[2], ((int*)control)[3]) = (SolSocket, ScmRights);
        descriptors.CopyTo(new Span<int>(control + ControlHeaderBytes, descriptors.Length));
        fixed (byte* p = bytes)
        {
            IoVec part = new() { Base = (nint)p, LengthBytes = (nuint)bytes.Length };
            MessageHeader message = new() { Parts = &part, PartCount = 1, Control = control, ControlLengthBytes = (nuint)(ControlHeaderBytes + (descriptors.Length * sizeof(int) + 7 & ~7)) };
            return Invoke(SyscallNumber.Sendmsg, socket, (nint)(&message), MsgNoSignal | MsgDontWait);
        }
    }

    /// <summary>recvmsg(2) of what <see cref="SendDescriptors"/> sent. The descriptors are close-on-exec.</summary>
    /// <param name="socket">A socket.</param>
    /// <param name="bytes">Room for the bytes.</param>
    /// <param name="descriptors">Room for the descriptors.</param>
    /// <param name="count">Descriptors received.</param>
    /// <returns>Bytes received, 0 when the other side is gone, or -errno.</returns>
    public static nint ReceiveDescriptors(int socket, Span<byte> bytes, Span<int> descriptors, out int count)
    {
        int room = ControlHeaderBytes + (descriptors.Length * sizeof(int) + 7 & ~7);
        byte* control = stackalloc byte[room];
        count = 0;
        fixed (byte* p = bytes)
        {
            IoVec part = new() { Base = (nint)p, LengthBytes = (nuint)bytes.Length };
            MessageHeader message = new() { Parts = &part, PartCount = 1, Control = control, ControlLengthBytes = (nuint)room };
            nint n = Invoke(SyscallNumber.Recvmsg, socket, (nint)(&message), MsgCloseOnExec);
            if (n >= 0 && message.ControlLengthBytes >= ControlHeaderBytes && ((int*)control)[2] == SolSocket && ((int*)control)[3] == ScmRights)
            {
                count = Math.Min((int)((*(long*)control - ControlHeaderBytes) / sizeof(int)), descriptors.Length);
                new Span<int>(control + ControlHeaderBytes, count).CopyTo(descriptors);
            }

            return n;
        }
    }

    /// <summary>fcntl(2), F_DUPFD: a copy that a program executed from here inherits.</summary>
    /// <returns>The new descriptor, or -errno.</returns>
    public static int DuplicateInherited(int fd, int lowest) => (int)Invoke(SyscallNumber.Fcntl, fd, Dupfd, lowest);

    /// <summary>struct msghdr. 0 name | 8 name length | 16 parts | 24 part count | 32 control | 40 control length | 48 flags</summary>
    private struct MessageHeader
    {
        public void* Name;
        public nint NameLength;
        public IoVec* Parts;
        public nuint PartCount;
        public void* Control;
        public nuint ControlLengthBytes;
        public nint Flags;
    }
}
