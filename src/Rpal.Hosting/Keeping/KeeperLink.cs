using System.Diagnostics;
using System.Text.Json;
using Rpal.Linux;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting.Keeping;

/// <summary>The host's end of its keeper.</summary>
internal sealed unsafe class KeeperLink : IDisposable
{
    /// <summary>One word a slot: the last notification that the host received, or 0 before the first. Written by the brokers, read by the keeper once the host is gone.</summary>
    public const int TableBytes = 4096;

    private readonly int _socket;
    private readonly Process _process;
    private readonly TimeSpan _grace;
    private readonly IFamilyObserver _observer;
    private bool _disposed;

    private KeeperLink(int socket, Process process, ulong* lastReceived, TimeSpan grace, IFamilyObserver observer)
    {
        (_socket, _process, _grace, _observer) = (socket, process, grace, observer);
        LastReceived = lastReceived;
    }

    public ulong* LastReceived { get; }

    /// <summary>Starts it. It need not be up before members are: what is handed over waits in the socket, also when this process dies.</summary>
    /// <exception cref="MemberStartException">It cannot be started.</exception>
    public static KeeperLink Start(IReadOnlyList<string> command, HostExitPolicy policy, TimeSpan grace, IFamilyObserver observer)
    {
        const int firstOther = 3;
        int r = Sys.SocketPair(SocketDomain.Unix, SocketType.SequencedPacket | SocketType.CloseOnExec, out int ours, out int theirs);
        int inherited = r < 0 ? r : Sys.DuplicateInherited(theirs, firstOther), table = Sys.MemfdCreate(TableBytes);
        nint words = table < 0 ? table : Sys.Mmap(0, TableBytes, Prot.Read | Prot.Write, MapFlags.Shared, table, 0);
        if (inherited < 0 || words < 0)
        {
            throw new MemberStartException(125, $"The keeper's socket and table: {ErrnoText.Describe(inherited < 0 ? inherited : (int)words)}.");
        }

        try
        {
            var start = new ProcessStartInfo(command[0], [.. command.Skip(1), $"{inherited}", $"{policy}"]);
            Process process = Process.Start(start)!;
            _ = Sys.SendDescriptors(ours, "table"u8, [table]);
            var link = new KeeperLink(OutputPipe.AboveStandard(ours), process, (ulong*)words, grace, observer);
            process.EnableRaisingEvents = true;
            process.Exited += (_, _) =>
            {
                if (!link._disposed)
                {
                    observer.Notice("rpal", "The keeper has ended: members would outlive this process if it is killed now.");
                }
            };
            return link;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            _ = Sys.Close(ours);
            throw new MemberStartException(125, $"The keeper cannot be started: {e.Message}");
        }
        finally
        {
            _ = Sys.Close(inherited);
            _ = Sys.Close(theirs);
            _ = Sys.Close(table);
        }
    }

    /// <summary>Hands copies of a member's descriptors over. A keeper that is gone was reported already.</summary>
    public void Hand(MemberDefinition definition, int slot, int pid, ReadOnlySpan<int> descriptors)
    {
        LastReceived[slot] = 0;
        byte[] message = JsonSerializer.SerializeToUtf8Bytes(new WardMessage(definition.Name, pid, slot, (int)Math.Min((definition.StopGrace ?? _grace).TotalMilliseconds, int.MaxValue)));
        nint r = Sys.SendDescriptors(_socket, message, descriptors);
        if (r < 0 && r != -(int)Errno.EPIPE)
        {
            _observer.Notice(definition.Name, $"The keeper does not take it on ({ErrnoText.Describe((int)r)}): nobody tells it or looks after it when rpal is killed.");
        }
    }

    /// <summary>After the last member's end.</summary>
    public void Dispose()
    {
        _disposed = true;
        try
        {
            _process.Kill();                                     // it has nobody left, and may still be starting
            _process.WaitForExit();
        }
        catch (InvalidOperationException)
        {
            // it had ended
        }

        _process.Dispose();
        _ = Sys.Close(_socket);                                  // the table stays: a broker may still serve what a member left behind
    }
}
