namespace Rpal.Linux;

internal static unsafe partial class Sys
{
    private const int SolSocket = 1, ScmRights = 1, ScmPidfd = 4;
    private const int MsgControlTruncated = 8, MsgDontWait = 0x40, MsgNoSignal = 0x4000, MsgCloseOnExec = 0x40000000, Dupfd = 0;
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

    /// <summary>recvmsg(2) of what <see cref="SendDescriptors"/> sent. The descriptors are close-on-exec. They come all or not at all:
    /// every one that the kernel installed is handed out or closed.</summary>
    /// <remarks>
    /// The room offered is for exactly so many: what is rounded up is room for one more, which the kernel fills. Source: unix(7),
    /// recvmsg(2); the kernel's scm_detach_fds, which stops at the first that it cannot install, and scm_pidfd_recv, for a socket with
    /// SO_PASSPIDFD.
    /// </remarks>
    /// <param name="socket">A socket.</param>
    /// <param name="bytes">Room for the bytes.</param>
    /// <param name="descriptors">Room for the descriptors.</param>
    /// <param name="count">Descriptors received; 0 when any was lost.</param>
    /// <param name="loss">Whether descriptors that came with the bytes could not be taken, and whose doing that was.</param>
    /// <returns>Bytes received, 0 when the other side is gone, or -errno.</returns>
    public static nint ReceiveDescriptors(int socket, Span<byte> bytes, Span<int> descriptors, out int count, out DescriptorLoss loss)
    {
        int room = ControlHeaderBytes + descriptors.Length * sizeof(int);
        byte* control = stackalloc byte[room];
        (count, loss) = (0, DescriptorLoss.None);
        fixed (byte* p = bytes)
        {
            IoVec part = new() { Base = (nint)p, LengthBytes = (nuint)bytes.Length };
            MessageHeader message = new() { Parts = &part, PartCount = 1, Control = control, ControlLengthBytes = (nuint)room };
            nint n = Invoke(SyscallNumber.Recvmsg, socket, (nint)(&message), MsgCloseOnExec);
            if (n < 0)
            {
                return n;
            }

            count = Take(control, (int)message.ControlLengthBytes, descriptors, out bool others);
            if ((message.Flags & MsgControlTruncated) != 0)
            {
                // A full room means that more were sent; less, that the kernel stopped at one that it could not install.
                loss = others ? DescriptorLoss.RoomTaken
                    : count == descriptors.Length ? DescriptorLoss.TooManySent : DescriptorLoss.NotInstalled;
                CloseAll(descriptors[..count]);
                count = 0;
            }

            return n;
        }
    }

    /// <summary>Takes the descriptors out of control messages, and closes those that were not asked for.</summary>
    /// <param name="control">What the kernel wrote.</param>
    /// <param name="lengthBytes">How much.</param>
    /// <param name="descriptors">Room for them.</param>
    /// <param name="others">Whether there were control messages of other kinds: they use up room.</param>
    /// <returns>How many there are.</returns>
    private static int Take(byte* control, int lengthBytes, Span<int> descriptors, out bool others)
    {
        int count = 0;
        others = false;
        for (int at = 0; lengthBytes - at >= ControlHeaderBytes;)
        {
            int length = (int)*(long*)(control + at), type = ((int*)(control + at))[2] == SolSocket ? ((int*)(control + at))[3] : 0;
            int written = Math.Clamp(length, ControlHeaderBytes, lengthBytes - at) - ControlHeaderBytes;
            var installed = new ReadOnlySpan<int>(control + at + ControlHeaderBytes, written / sizeof(int));
            others |= type != ScmRights;
            if (type == ScmRights && count == 0 && installed.Length <= descriptors.Length)
            {
                installed.CopyTo(descriptors);
                count = installed.Length;
            }
            else if (type is ScmRights or ScmPidfd)
            {
                CloseAll(installed);
            }

            at += Math.Max(ControlHeaderBytes, length + 7 & ~7);
        }

        return count;
    }

    private static void CloseAll(ReadOnlySpan<int> descriptors)
    {
        foreach (int fd in descriptors)
        {
            _ = Close(fd);
        }
    }

    /// <summary>fcntl(2), F_DUPFD: a copy that a program executed from here inherits.</summary>
    /// <returns>The new descriptor, or -errno.</returns>
    public static int DuplicateInherited(int fd, int lowest) => (int)Invoke(SyscallNumber.Fcntl, fd, Dupfd, lowest);

    /// <summary>struct msghdr. 0 name | 8 name length | 16 parts | 24 part count | 32 control | 40 control length | 48 flags, s32 and
    /// zero</summary>
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
