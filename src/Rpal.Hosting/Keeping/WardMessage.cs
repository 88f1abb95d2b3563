using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Rpal.Linux;

namespace Rpal.Hosting.Keeping;

/// <summary>What the host tells its keeper about a member; with it come copies of <see cref="Ward"/>'s descriptors, in their
/// order.</summary>
/// <remarks>"PID SLOT GRACE-MS NAME" in UTF-8: nothing that a process short of threads, memory or descriptors would have to load
/// first.</remarks>
internal sealed record WardMessage(int Pid, int Slot, int GraceMs, string Name)
{
    public byte[] ToBytes() => Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Pid} {Slot} {GraceMs} {Name}"));

    /// <returns>Null: it is none.</returns>
    public static WardMessage? Of(ReadOnlySpan<byte> bytes) =>
        Encoding.UTF8.GetString(bytes).Split(' ', 4) is [var pid, var slot, var grace, var name] && int.TryParse(pid, out int p)
            && int.TryParse(slot, out int s) && int.TryParse(grace, out int g)
            ? new WardMessage(p, s, g, name)
            : null;
}

/// <summary>The keeper's answer to each message with descriptors: only what it says it has, it has.</summary>
/// <remarks>0 process i32: the member's, or 0 for the table | 4 loss i32, <see cref="DescriptorLoss"/></remarks>
internal readonly record struct WardAnswer(int Pid, DescriptorLoss Loss)
{
    public const int Bytes = 8;

    public void Write(Span<byte> into)
    {
        BinaryPrimitives.WriteInt32LittleEndian(into, Pid);
        BinaryPrimitives.WriteInt32LittleEndian(into[4..], (int)Loss);
    }

    public static WardAnswer Of(ReadOnlySpan<byte> bytes) =>
        new(BinaryPrimitives.ReadInt32LittleEndian(bytes), (DescriptorLoss)BinaryPrimitives.ReadInt32LittleEndian(bytes[4..]));
}
