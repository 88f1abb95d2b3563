using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using Rpal.Linux;
using Rpal.Memory.Parties;

namespace Rpal.Memory.Segments;

/// <summary>
/// Hands a segment to another process over a Unix socket (a stream or sequenced packets), and agrees on an address that is free in both.
/// </summary>
/// <remarks><code>
/// sender                                        receiver
///   Offer address, descriptor ───────────────►  checks the file; is the address free here?
///   ◄─────────────────────────── Accepted       yes          (Refused, and why, when the file is none that it can open)
///   ◄────────────── Occupied other address      no: one that is free here (0: none can be, in a family)
///   can it move? Offer other address ────────►  ... at most <see cref="SegmentAddress.AttemptsLimit"/> times
///   else Stay ───────────────────────────────►  maps it elsewhere and says Accepted, or says Refused when it needs the shared address
/// </code></remarks>
public static unsafe class SegmentTransfer
{
    private const uint Magic = 0x4647_5352;                      // "RSGF"

    private enum Word : uint
    {
        Offer = 1,
        Accepted = 2,
        Occupied = 3,
        Stay = 4,
        Refused = 5,
    }

    /// <summary>0 magic u32 | 4 word u32 | 8 length s64 | 16 address s64 | 24 id u64 | 32 party s32 | 36 generation u32: the speaker's own, in Offer, Stay and Accepted</summary>
    [StructLayout(LayoutKind.Explicit, Size = SizeBytes)]
    private struct Message
    {
        public const int SizeBytes = 40;

        [FieldOffset(0)] public uint Magic;
        [FieldOffset(4)] public Word Word;
        [FieldOffset(8)] public long LengthBytes;
        [FieldOffset(16)] public long Address;
        [FieldOffset(24)] public ulong Id;
        [FieldOffset(32)] public int PartyNumber;
        [FieldOffset(36)] public uint PartyGeneration;
    }

    /// <summary>Hands it over. It may be moved to another address for that, if it has no parts yet.</summary>
    /// <param name="segment">The segment.</param>
    /// <param name="socket">A Unix socket that the other process receives from.</param>
    /// <param name="timeout">For each answer of the other side.</param>
    /// <returns>Whether both have it at the same address.</returns>
    /// <exception cref="SegmentException">AddressOccupied: the other side needs the shared address and cannot have it; TransferFailed.</exception>
    public static bool Send(Segment segment, SafeHandle socket, TimeSpan timeout) => Send(segment, socket, timeout, out _);

    /// <summary>As <see cref="Send(Segment, SafeHandle, TimeSpan)"/>, and says who is behind the socket.</summary>
    /// <param name="segment">The segment.</param>
    /// <param name="socket">A Unix socket that the other process receives from.</param>
    /// <param name="timeout">For each answer of the other side.</param>
    /// <param name="receiver">The other process as the segment's parts know it: for <c>TryOffer</c>, <c>HandOver</c>, <see cref="Segment.IsAlive"/> and <see cref="Segment.Describe"/>.
    /// It says so itself: that it is below <see cref="PartyTable.Capacity"/> and not this process is checked, not that it is no third process's.</param>
    /// <returns>Whether both have it at the same address.</returns>
    /// <exception cref="SegmentException">AddressOccupied: the other side needs the shared address and cannot have it; TransferFailed, also when no process can be who it says it is.</exception>
    public static bool Send(Segment segment, SafeHandle socket, TimeSpan timeout, out Party receiver)
    {
        ArgumentNullException.ThrowIfNull(segment);
        using var channel = new Channel(socket, timeout);
        using (var file = new HandleUse(segment.File))
        {
            channel.Say(Word.Offer, segment, (long)segment.Address, file.Fd);
        }

        for (int attempt = 1; ; attempt++)
        {
            Message answer = channel.Hear();
            switch (answer.Word)
            {
                case Word.Accepted:
                    receiver = Speaker(answer, segment);
                    return answer.Address == (long)segment.Address;
                case Word.Occupied when attempt < SegmentAddress.AttemptsLimit
                        && SegmentAddress.IsPlausible(answer.Address, segment.LengthBytes) && segment.TryMove(answer.Address):
                    channel.Say(Word.Offer, segment, (long)segment.Address, -1);
                    break;
                case Word.Occupied:
                    channel.Say(Word.Stay, segment, (long)segment.Address, -1);
                    break;
                case Word.Refused when answer.Address != (long)SegmentError.AddressOccupied:
                    throw new SegmentException(SegmentError.TransferFailed, $"The other process could not open the segment: {(SegmentError)answer.Address}. It has the details.");
                case Word.Refused:
                    throw new SegmentException(SegmentError.AddressOccupied, $"The other process needs the segment at 0x{(long)segment.Address:x}, where it has something else, and the segment cannot move: it has parts already or the address that is free there is taken here.");
                default:
                    throw new SegmentException(SegmentError.TransferFailed, $"The other process answered {answer.Word} to the offer of a segment.");
            }
        }
    }

    /// <summary>Receives what <see cref="Send(Segment, SafeHandle, TimeSpan)"/> hands over.</summary>
    /// <param name="socket">A Unix socket.</param>
    /// <param name="timeout">For each message of the other side.</param>
    /// <param name="requireSharedAddress">Whether to fail instead of mapping it elsewhere when no address is free in both.</param>
    /// <exception cref="SegmentException">As <see cref="Segment.Open(SafeFileHandle, bool)"/>; TransferFailed.</exception>
    public static Segment Receive(SafeHandle socket, TimeSpan timeout, bool requireSharedAddress = false) => Receive(socket, timeout, out _, requireSharedAddress);

    /// <summary>As <see cref="Receive(SafeHandle, TimeSpan, bool)"/>, and says who is behind the socket.</summary>
    /// <param name="socket">A Unix socket.</param>
    /// <param name="timeout">For each message of the other side.</param>
    /// <param name="sender">The other process as the segment's parts know it; it says so itself, see <see cref="Send(Segment, SafeHandle, TimeSpan, out Party)"/>.</param>
    /// <param name="requireSharedAddress">Whether to fail instead of mapping it elsewhere when no address is free in both.</param>
    /// <exception cref="SegmentException">As <see cref="Segment.Open(SafeFileHandle, bool)"/>; TransferFailed, also when no process can be who it says it is.</exception>
    public static Segment Receive(SafeHandle socket, TimeSpan timeout, out Party sender, bool requireSharedAddress = false)
    {
        using var channel = new Channel(socket, timeout);
        Message offer = channel.Hear(out SafeFileHandle? received);
        using SafeFileHandle? file = received;
        if (offer.Word != Word.Offer || file is null)
        {
            throw new SegmentException(SegmentError.TransferFailed, $"The other process said {offer.Word}{(file is null ? " without a descriptor" : "")} instead of offering a segment.");
        }

        int descriptor = (int)file.DangerousGetHandle();
        try
        {
            SegmentHeader header = SegmentFile.Check(descriptor);
            for (int attempt = 1; ; attempt++)
            {
                // A member of a family offers an address in its slot: never free here.
                bool last = offer.Word == Word.Stay;
                if (last || SegmentAddress.IsFree(descriptor, header.LengthBytes, offer.Address))
                {
                    Segment segment = Segment.Open(descriptor, offer.Address, requireSharedAddress);
                    try
                    {
                        sender = Speaker(offer, segment);
                        channel.Say(Word.Accepted, segment, (long)segment.Address, -1);
                        return segment;
                    }
                    catch
                    {
                        segment.Dispose();
                        throw;
                    }
                }

                channel.Say(Word.Occupied, null, SegmentAddress.FindFree(descriptor, header.LengthBytes), -1);
                offer = channel.Hear();
                if (attempt > SegmentAddress.AttemptsLimit || offer.Word is not (Word.Offer or Word.Stay))
                {
                    throw new SegmentException(SegmentError.TransferFailed, $"The other process said {offer.Word} in the {attempt}. round of agreeing on an address.");
                }
            }
        }
        catch (SegmentException e) when (e.Error != SegmentError.TransferFailed)
        {
            channel.TryRefuse(e.Error);
            throw;
        }
    }

    /// <summary>Who says a message, as it says itself.</summary>
    private static Party Speaker(in Message message, Segment segment)
    {
        var speaker = new Party(message.PartyNumber, message.PartyGeneration);
        return (uint)speaker.Number < PartyTable.Capacity && speaker != segment.Self ? speaker
            : throw new SegmentException(SegmentError.TransferFailed, $"The other process says that it is {speaker} of the segment: {(speaker == segment.Self ? "this process is" : $"there are {PartyTable.Capacity}")}.");
    }

    /// <summary>One side of the conversation.</summary>
    private sealed class Channel : IDisposable
    {
        private readonly SafeHandle _socket;
        private readonly int _timeoutMs;
        private readonly int _fd;

        public Channel(SafeHandle socket, TimeSpan timeout)
        {
            ArgumentNullException.ThrowIfNull(socket);
            bool added = false;
            socket.DangerousAddRef(ref added);
            (_socket, _fd, _timeoutMs) = (socket, (int)socket.DangerousGetHandle(), (int)Math.Clamp(timeout.TotalMilliseconds, 0, int.MaxValue));
        }

        public void Dispose() => _socket.DangerousRelease();

        public void Say(Word word, Segment? segment, long address, int descriptor)
        {
            Message message = new()
            {
                Magic = Magic,
                Word = word,
                LengthBytes = segment?.LengthBytes ?? 0,
                Address = address,
                Id = segment?.Id ?? 0,
                PartyNumber = segment?.Self.Number ?? -1,
                PartyGeneration = segment?.Self.Generation ?? 0,
            };
            ReadOnlySpan<int> descriptors = descriptor < 0 ? [] : [descriptor];
            nint n = Sys.SendDescriptors(_fd, new ReadOnlySpan<byte>(&message, Message.SizeBytes), descriptors);
            if (n != Message.SizeBytes)
            {
                throw new SegmentException(SegmentError.TransferFailed, $"Saying {word} to the other process (sendmsg): {(n < 0 ? ErrnoText.Describe((int)n) : $"{n} of {Message.SizeBytes} bytes went")}.");
            }
        }

        public void TryRefuse(SegmentError error)
        {
            try
            {
                Say(Word.Refused, null, (long)error, -1);
            }
            catch (SegmentException)
            {
                // the first error is the one to tell
            }
        }

        /// <summary>What must come without a descriptor: one that does is closed.</summary>
        public Message Hear()
        {
            Message message = Hear(out SafeFileHandle? descriptor);
            descriptor?.Dispose();
            return message;
        }

        public Message Hear(out SafeFileHandle? descriptor)
        {
            descriptor = null;
            try
            {
                return HearInto(ref descriptor);
            }
            catch
            {
                descriptor?.Dispose();
                throw;
            }
        }

        private static string TextOf(DescriptorLoss loss) => loss switch
        {
            DescriptorLoss.NotInstalled => "The other process sent a descriptor, and this process could not take it (recvmsg, MSG_CTRUNC): "
                + $"RLIMIT_NOFILE is {Sys.DescriptorLimit()} here. Raise it, or close descriptors; else fs.file-max or a security module "
                + "is what forbids it.",
            DescriptorLoss.RoomTaken => "The other process sent a descriptor, and the socket's options ask for other control messages, "
                + "which took its room (recvmsg, MSG_CTRUNC): use a socket without SO_PASSCRED, SO_PASSSEC and SO_TIMESTAMP.",
            _ => "The other process sent more than one descriptor with a message (or the socket here has SO_PASSPIDFD): "
                + "a segment's transfer has one at most. All were closed.",
        };

        private Message HearInto(ref SafeFileHandle? descriptor)
        {
            Message message = default;
            Span<int> descriptors = stackalloc int[1];
            int got = 0;
            DescriptorLoss lost = DescriptorLoss.None;
            long until = Environment.TickCount64 + _timeoutMs;
            while (got < Message.SizeBytes)
            {
                PollFd poll = new() { Fd = _fd, Events = PollEvents.In };
                int ready = Sys.Poll(&poll, 1, (int)Math.Max(0, until - Environment.TickCount64));
                if (ready == 0)
                {
                    throw new SegmentException(SegmentError.TransferFailed, $"The other process said nothing for {_timeoutMs} ms.");
                }

                (int more, DescriptorLoss loss) = (0, DescriptorLoss.None);
                var rest = new Span<byte>((byte*)&message + got, Message.SizeBytes - got);
                nint n = ready < 0 ? ready : Sys.ReceiveDescriptors(_fd, rest, descriptors, out more, out loss);
                lost = loss != DescriptorLoss.None ? loss : lost;
                if (more > 0 && descriptor is not null)
                {
                    _ = Sys.Close(descriptors[0]);
                    lost = DescriptorLoss.TooManySent;
                }
                else if (more > 0)
                {
                    descriptor = new SafeFileHandle(descriptors[0], ownsHandle: true);
                }

                if (n is -(int)Errno.EINTR or -(int)Errno.EAGAIN)
                {
                    continue;
                }

                if (n <= 0)
                {
                    throw new SegmentException(SegmentError.TransferFailed, n == 0 ? "The other process has closed the connection." : $"Receiving from the other process (recvmsg): {ErrnoText.Describe((int)n)}.");
                }

                got += (int)n;
            }

            if (lost != DescriptorLoss.None)
            {
                TryRefuse(SegmentError.TransferFailed);
                throw new SegmentException(SegmentError.TransferFailed, TextOf(lost));
            }

            if (message.Magic != Magic || message.Word is < Word.Offer or > Word.Refused)
            {
                throw new SegmentException(SegmentError.TransferFailed, $"What came is not of a segment's transfer: 0x{message.Magic:x}, {(uint)message.Word}.");
            }

            return message;
        }
    }
}
