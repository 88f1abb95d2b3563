using System.Runtime.InteropServices;
using Rpal.Hosting;
using Rpal.Linux;

namespace Rpal.Cli;

/// <summary>Hands rpal's signals to the family.</summary>
/// <remarks><code>
/// running ──SIGTERM or SIGINT──► stopping: in order, each member with its grace ──SIGTERM or SIGINT again──► killed
///                                  the same signal within <see cref="SameRequestMs"/>: the same request, and nothing happens
///    SIGHUP, SIGQUIT: forwarded, in any state
/// </code>timeout(1) signals its child and then its group, npm and make pass on what the terminal sends as well, systemd signals a whole control
/// group: then one request arrives twice.</remarks>
internal sealed class StopPolicy : IDisposable
{
    /// <summary>From a request to stop; longer than programs take to pass a signal on, and no wait for a person who presses Ctrl+C again.</summary>
    public const int SameRequestMs = 500;

    private readonly FamilyHost _host;
    private readonly PosixSignalRegistration[] _registrations;
    private readonly Lock _lock = new();
    private bool _stopping;
    private (int Signal, long AtMs) _request;

    public StopPolicy(FamilyHost host)
    {
        _host = host;
        _registrations =
        [
            PosixSignalRegistration.Create(PosixSignal.SIGTERM, c => OnStop(c, Signal.SIGTERM)),
            PosixSignalRegistration.Create(PosixSignal.SIGINT, c => OnStop(c, Signal.SIGINT)),
            PosixSignalRegistration.Create(PosixSignal.SIGHUP, c => OnOther(c, Signal.SIGHUP)),
            PosixSignalRegistration.Create(PosixSignal.SIGQUIT, c => OnOther(c, Signal.SIGQUIT)),
        ];
    }

    /// <summary>Stops the members as SIGTERM would, unless they are stopping already.</summary>
    /// <param name="by">Who wants it.</param>
    public void Begin(string by)
    {
        lock (_lock)
        {
            if (_stopping)
            {
                return;
            }

            _stopping = true;
        }

        _host.Stop(Signal.SIGTERM, by);
    }

    public void Dispose()
    {
        foreach (PosixSignalRegistration r in _registrations)
        {
            r.Dispose();
        }
    }

    private void OnStop(PosixSignalContext context, int signal)
    {
        context.Cancel = true;
        bool isFurther;
        lock (_lock)
        {
            (int Signal, long AtMs) now = (signal, Environment.TickCount64);
            if (now.Signal == _request.Signal && now.AtMs - _request.AtMs < SameRequestMs)
            {
                return;
            }

            (isFurther, _stopping) = (_stopping, true);
            _request = isFurther ? _request : now;
        }

        if (isFurther)
        {
            _host.Kill($"a further {SignalName.Of(signal)} to rpal");
        }
        else
        {
            _host.Stop(signal, signal == Signal.SIGINT ? "the operator's Ctrl+C (SIGINT)" : $"{SignalName.Of(signal)} to rpal");
        }
    }

    private void OnOther(PosixSignalContext context, int signal)
    {
        context.Cancel = true;
        _host.Send(signal, "rpal, which got it and passes it on");
    }
}
