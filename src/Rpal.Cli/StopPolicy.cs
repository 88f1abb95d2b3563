using System.Runtime.InteropServices;
using Rpal.Linux;

namespace Rpal.Cli;

/// <summary>Hands rpal's signals to the members, and sees to it that a stop ends.</summary>
/// <remarks><code>
/// running ──SIGTERM or SIGINT──► stopping: signal forwarded ──grace over, or SIGTERM or SIGINT again──► killed
///    SIGHUP, SIGQUIT: forwarded, in any state
/// </code></remarks>
internal sealed class StopPolicy : IDisposable
{
    private readonly Action<int> _send;
    private readonly TimeSpan _grace;
    private readonly Lock _lock = new();
    private readonly PosixSignalRegistration[] _registrations;
    private Timer? _killer;
    private bool _disposed;

    /// <param name="send">Sends a signal to every member.</param>
    /// <param name="grace">From the stop to the kill.</param>
    public StopPolicy(Action<int> send, TimeSpan grace)
    {
        (_send, _grace) = (send, grace);
        _registrations =
        [
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, c => OnStop(c, Signal.SIGTERM)),
            PosixSignalRegistration.Create(PosixSignal.SIGINT, c => OnStop(c, Signal.SIGINT)),
            PosixSignalRegistration.Create(PosixSignal.SIGHUP, c => OnOther(c, Signal.SIGHUP)),
            PosixSignalRegistration.Create(PosixSignal.SIGQUIT, c => OnOther(c, Signal.SIGQUIT)),
        ];
    }

    /// <summary>Stops the members as SIGTERM would, unless they are stopping already.</summary>
    public void Begin()
    {
        lock (_lock)
        {
            if (_killer is null)
            {
                Stop(Signal.SIGTERM);
            }
        }
    }

    public void Dispose()
    {
        foreach (PosixSignalRegistration r in _registrations)
        {
            r.Dispose();
        }

        lock (_lock)
        {
            _disposed = true;
            _killer?.Dispose();
        }
    }

    private void OnStop(PosixSignalContext context, int signal)
    {
        context.Cancel = true;
        lock (_lock)
        {
            Stop(_killer is null ? signal : Signal.SIGKILL);
        }
    }

    private void OnOther(PosixSignalContext context, int signal)
    {
        context.Cancel = true;
        lock (_lock)
        {
            Send(signal);
        }
    }

    private void Stop(int signal)
    {
        Send(signal);
        _killer ??= _disposed ? null : new Timer(_ => Kill(), null, _grace, Timeout.InfiniteTimeSpan);
    }

    private void Kill()
    {
        lock (_lock)
        {
            Send(Signal.SIGKILL);
        }
    }

    private void Send(int signal)
    {
        if (!_disposed)
        {
            _send(signal);
        }
    }
}
