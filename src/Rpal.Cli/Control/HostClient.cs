using System.Net.Sockets;
using System.Text.Json;
using Rpal.Hosting.Control;

namespace Rpal.Cli.Control;

/// <summary>Why a host could not be asked, or what it answered. One line.</summary>
internal sealed class HostException(int exitCode, string message) : Exception(message)
{
    public int ExitCode { get; } = exitCode;
}

/// <summary>A conversation with the host of a running family.</summary>
internal sealed class HostClient : IDisposable
{
    /// <summary>Longest line of an answer that is read: a status of 40 members and 256 services is far below.</summary>
    private const int LineBytesLimit = 4 << 20;

    /// <summary>For each line of an answer; a follower of the logs waits for ever.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    private readonly Socket _socket;
    private byte[] _buffer = new byte[65536];
    private int _start, _end;

    private HostClient(Socket socket, int pid) => (_socket, Pid) = (socket, pid);

    /// <summary>The host.</summary>
    public int Pid { get; }

    /// <param name="pid">The host, or null: the only one there is.</param>
    /// <exception cref="HostException">None, or several.</exception>
    public static HostClient Connect(int? pid)
    {
        List<int> hosts = ControlSocket.Hosts();
        int chosen = pid is { } wanted
            ? hosts.Contains(wanted) ? wanted : throw new HostException(ExitCode.Unavailable, $"No family of yours has host {wanted}. {List(hosts)}")
            : hosts switch
            {
                [] => throw new HostException(ExitCode.Unavailable, $"No family of yours runs. {List(hosts)}"),
                [var only] => only,
                _ => throw new HostException(ExitCode.Usage, $"Several families run: choose one with --host PID. {List(hosts)}"),
            };
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(ControlSocket.PathOf(chosen)));
            return new HostClient(socket, chosen);
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new HostException(ExitCode.Unavailable, $"Host {chosen} does not answer: {e.Message}.");
        }
    }

    /// <summary>Asks and returns the last line; lines before it go to <paramref name="onLine"/>.</summary>
    /// <exception cref="HostException">The host said no, or went away.</exception>
    public ControlAnswer Ask(ControlRequest request, Action<LogLine>? onLine = null)
    {
        try
        {
            byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(request, ControlJson.Options), (byte)'\n'];
            if (line.Length > ControlJson.RequestBytesLimit)
            {
                throw new HostException(ExitCode.Usage, $"The request has {line.Length} bytes; at most {ControlJson.RequestBytesLimit}.");
            }

            _socket.ReceiveTimeout = request.Follow ? 0 : (int)s_patience.TotalMilliseconds;
            _socket.Send(line);
            while (ReadLine() is { } bytes)
            {
                ControlAnswer answer = JsonSerializer.Deserialize<ControlAnswer>(bytes.Span, ControlJson.Options) ?? throw new JsonException();
                if (answer.Line is { } log)
                {
                    onLine?.Invoke(log);
                }
                else
                {
                    return answer.Error is { } error ? throw new HostException(answer.ExitCode ?? ExitCode.Usage, error) : answer;
                }
            }

            throw new HostException(ExitCode.Unavailable, $"Host {Pid} ended the conversation: it has ended, or you read too slowly.");
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.TimedOut or SocketError.WouldBlock)
        {
            throw new HostException(ExitCode.Unavailable, $"Host {Pid} does not answer within {s_patience.TotalSeconds} s: it is stopped, or it has no free descriptor to hear you (see prlimit --nofile --pid {Pid}).");
        }
        catch (Exception e) when (e is SocketException or JsonException)
        {
            throw new HostException(ExitCode.Unavailable, $"Host {Pid}: {e.Message}");
        }
    }

    public void Dispose() => _socket.Dispose();

    private ReadOnlyMemory<byte>? ReadLine()
    {
        for (int looked = 0; ;)
        {
            int end = _buffer.AsSpan(_start + looked, _end - _start - looked).IndexOf((byte)'\n');
            if (end >= 0)
            {
                ReadOnlyMemory<byte> line = _buffer.AsMemory(_start, looked + end);
                _start += looked + end + 1;
                return line;
            }

            looked = _end - _start;
            if (_start > 0)
            {
                _buffer.AsSpan(_start, looked).CopyTo(_buffer);
                (_start, _end) = (0, looked);
            }

            if (_end == _buffer.Length)
            {
                Array.Resize(ref _buffer, _buffer.Length < LineBytesLimit ? 2 * _buffer.Length : throw new JsonException($"A line of more than {LineBytesLimit} bytes."));
            }

            int n = _socket.Receive(_buffer.AsSpan(_end));
            if (n == 0)
            {
                return null;
            }

            _end += n;
        }
    }

    private static string List(List<int> hosts) => hosts.Count == 0
        ? $"(Looked in {ControlSocket.Folder()}.)"
        : $"Hosts: {string.Join(", ", hosts.Select(Describe))}.";

    private static string Describe(int pid)
    {
        try
        {
            using HostClient client = Connect(pid);
            FamilyStatus? status = client.Ask(new ControlRequest("ps")).Status;
            return $"{pid} ({string.Join(", ", status?.Members.Select(m => m.Name) ?? [])})";
        }
        catch (HostException)
        {
            return $"{pid}";
        }
    }
}
