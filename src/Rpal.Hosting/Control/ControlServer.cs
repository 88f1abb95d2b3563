using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text.Json;
using System.Threading.Channels;
using Rpal.Linux;

namespace Rpal.Hosting.Control;

/// <summary>Answers other processes of the same user. A hostile or slow one costs a connection for a while, and members nothing.</summary>
internal sealed class ControlServer : IDisposable
{
    /// <summary>At a time.</summary>
    public const int ConnectionLimit = 32;

    /// <summary>Between two looks at a connection that could not be accepted.</summary>
    private static readonly TimeSpan s_acceptPause = TimeSpan.FromMilliseconds(250);

    /// <summary>For a request to arrive, and for each line of an answer to be taken.</summary>
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    /// <summary>For followers of the logs to take the last lines when the family is over.</summary>
    private static readonly TimeSpan s_lastWords = TimeSpan.FromSeconds(1);

    private readonly Socket _listener;
    private readonly string _path;
    private readonly FamilyControl _family;
    private readonly CancellationTokenSource _end = new();
    private readonly IFamilyObserver _observer;
    private readonly object _answersLock = new();
    private int _connections, _answers, _followers;

    private ControlServer(Socket listener, string path, FamilyControl family, IFamilyObserver observer)
    {
        (_listener, _path, _family, _observer) = (listener, path, family, observer);
        _ = Task.Run(AcceptAsync);
    }

    /// <summary>Listens, or tells the observer why not: the family runs all the same.</summary>
    public static ControlServer? TryStart(FamilyControl family, IFamilyObserver observer)
    {
        var listener = new Socket(AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            ControlSocket.Prepare();
            _ = ControlSocket.Hosts();                           // removes what dead hosts left
            string path = ControlSocket.PathOf(Environment.ProcessId);
            File.Delete(path);                                   // a dead host with our number
            listener.Bind(new UnixDomainSocketEndPoint(path));
            listener.Listen();
            return new ControlServer(listener, path, family, observer);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException)
        {
            listener.Dispose();
            observer.Notice("rpal", $"rpal ps, logs, stop, restart and kill will not find this family: {e.Message}");
            return null;
        }
    }

    public void Dispose()
    {
        _listener.Dispose();
        File.Delete(_path);
        _family.Logs.Close();
        AwaitAnswers();
        _end.Cancel();
    }

    /// <summary>Waits for those who are being answered, not least for who has asked for this end.</summary>
    private void AwaitAnswers()
    {
        long begin = Environment.TickCount64;
        lock (_answersLock)
        {
            while (_answers > 0)
            {
                TimeSpan patience = _answers > _followers ? s_patience : s_lastWords;
                long left = begin + (long)patience.TotalMilliseconds - Environment.TickCount64;
                if (left <= 0)
                {
                    return;
                }

                _ = Monitor.Wait(_answersLock, (int)left);
            }
        }
    }

    private async Task AcceptAsync()
    {
        while (!_end.IsCancellationRequested)
        {
            try
            {
                Socket peer = await _listener.AcceptAsync(_end.Token).ConfigureAwait(false);
                if (Interlocked.Increment(ref _connections) > ConnectionLimit)
                {
                    Interlocked.Decrement(ref _connections);
                    peer.Dispose();
                    continue;
                }

                _ = Task.Run(() => ServeAsync(peer));
            }
            catch (SocketException)
            {
                await Task.Delay(s_acceptPause, _end.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);     // out of descriptors, for example: it waits in the backlog
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (Exception e)
            {
                _observer.Notice("rpal", $"rpal ps, logs, stop, restart and kill do not find this family any more: {e.OneLine()}. "
                    + "That is a fault of Rpal: please report it.");
                return;
            }
        }
    }

    /// <summary>Same user, or root. Source: unix(7), SO_PEERCRED: pid, uid, gid.</summary>
    private static bool IsAllowed(Socket peer)
    {
        const int solSocket = 1, soPeerCred = 17;
        Span<byte> credentials = stackalloc byte[12];
        return peer.GetRawSocketOption(solSocket, soPeerCred, credentials) == credentials.Length
            && BinaryPrimitives.ReadInt32LittleEndian(credentials[4..]) is var uid && (uid == 0 || uid == Sys.Geteuid());
    }

    private async Task ServeAsync(Socket peer)
    {
        try
        {
            using (peer)
            {
                if (IsAllowed(peer) && await ReadAsync(peer).ConfigureAwait(false) is { } line)
                {
                    await AnswerAsync(peer, line).ConfigureAwait(false);
                }
            }
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // the peer is gone or too slow, or the family is over
        }
        catch (Exception e)
        {
            _observer.Notice("rpal", $"A request on the control socket failed: {e.OneLine()}");
        }
        finally
        {
            Interlocked.Decrement(ref _connections);
        }
    }

    private async Task<byte[]?> ReadAsync(Socket peer)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_end.Token);
        limit.CancelAfter(s_patience);
        byte[] buffer = new byte[ControlJson.RequestBytesLimit];
        for (int length = 0; length < buffer.Length;)
        {
            int n = await peer.ReceiveAsync(buffer.AsMemory(length), limit.Token).ConfigureAwait(false);
            if (n == 0)
            {
                return null;
            }

            int end = buffer.AsSpan(length, n).IndexOf((byte)'\n');
            if (end >= 0)
            {
                return buffer[..(length + end)];
            }

            length += n;
        }

        await SendAsync(peer, new ControlAnswer { Error = $"A request has at most {ControlJson.RequestBytesLimit} bytes." }).ConfigureAwait(false);
        return null;
    }

    private async Task AnswerAsync(Socket peer, byte[] line)
    {
        int follows = 0;
        AddAnswers(1, 0);
        try
        {
            ControlAnswer answer;
            try
            {
                ControlRequest request = JsonSerializer.Deserialize<ControlRequest>(line, ControlJson.Options) ?? throw new JsonException("The request is null.");
                request.Check();
                follows = request.Follow ? 1 : 0;
                AddAnswers(0, follows);
                answer = await DoAsync(peer, request).ConfigureAwait(false);
            }
            catch (Exception e) when (e is not (SocketException or OperationCanceledException or ObjectDisposedException))
            {
                answer = new ControlAnswer { Error = e.OneLine(), ExitCode = (e as MemberStartException)?.ExitCode };
            }

            await SendAsync(peer, answer).ConfigureAwait(false);
        }
        finally
        {
            AddAnswers(-1, -follows);
        }
    }

    private void AddAnswers(int answers, int followers)
    {
        lock (_answersLock)
        {
            _answers += answers;
            _followers += followers;
            Monitor.PulseAll(_answersLock);                      // the last one to go lets Dispose go on
        }
    }

    private async Task<ControlAnswer> DoAsync(Socket peer, ControlRequest request)
    {
        switch (request.Op)
        {
            case "ps":
                return new ControlAnswer { Ok = true, Status = await _family.StatusAsync().ConfigureAwait(false) };
            case "logs":
                return await LogsAsync(peer, request).ConfigureAwait(false);
            case "stop":
                await _family.StopAsync(request.Member).ConfigureAwait(false);
                break;
            case "restart":
                await _family.ReplaceAsync(Named(request), request.Command).ConfigureAwait(false);
                break;
            case "kill" when request.Signal is > 0 and <= 64:
                await _family.SignalAsync(Named(request), request.Signal).ConfigureAwait(false);
                break;
            default:
                throw new FormatException($"{request.Op}: no such operation, or without what it needs. This host knows ps, logs, stop, restart and kill.");
        }

        return new ControlAnswer { Ok = true };
    }

    private async Task<ControlAnswer> LogsAsync(Socket peer, ControlRequest request)
    {
        foreach (string name in request.Members ?? [])
        {
            await _family.CheckAsync(name).ConfigureAwait(false);
        }

        HashSet<string>? members = request.Members is { Count: > 0 } names ? [.. names] : null;
        using var gone = CancellationTokenSource.CreateLinkedTokenSource(_end.Token);
        _ = request.Follow ? CancelWhenGoneAsync(peer, gone) : null;
        (List<LogLine> last, ChannelReader<LogLine>? next) = _family.Logs.Read(members, Math.Max(request.Tail, 0), request.Follow);
        try
        {
            foreach (LogLine line in last)
            {
                await SendAsync(peer, new ControlAnswer { Line = line }).ConfigureAwait(false);
            }

            await foreach (LogLine line in next?.ReadAllAsync(gone.Token) ?? AsyncEnumerable.Empty<LogLine>())
            {
                await SendAsync(peer, new ControlAnswer { Line = line }).ConfigureAwait(false);
            }
        }
        catch (FollowerTooSlowException)
        {
            return new ControlAnswer { Error = $"You read more slowly than the members write: dropped after {LogBook.FollowerLinesLimit} lines." };
        }
        finally
        {
            if (next is not null)
            {
                _family.Logs.Leave(next);
            }
        }

        return new ControlAnswer { Ok = true };
    }

    /// <summary>A follower has nothing more to say: what can be received is its end. Else one that left while all are silent would keep its connection.</summary>
    private static async Task CancelWhenGoneAsync(Socket peer, CancellationTokenSource gone)
    {
        try
        {
            _ = await peer.ReceiveAsync(new byte[1]).ConfigureAwait(false);
            await gone.CancelAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // the conversation was over first
        }
    }

    private static string Named(ControlRequest request) => request.Member ?? throw new FormatException($"{request.Op} needs a member.");

    private async Task SendAsync(Socket peer, ControlAnswer answer)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_end.Token);
        limit.CancelAfter(s_patience);
        ReadOnlyMemory<byte> rest = (byte[])[.. JsonSerializer.SerializeToUtf8Bytes(answer, ControlJson.Options), (byte)'\n'];
        while (!rest.IsEmpty)
        {
            rest = rest[await peer.SendAsync(rest, limit.Token).ConfigureAwait(false)..];
        }
    }
}
