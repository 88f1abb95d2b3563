using System.Runtime.InteropServices;
using Rpal.Hosting;
using Rpal.Linux;

namespace Rpal.Cli;

/// <summary>Hands rpal's signals to the family.</summary>
/// <remarks><code>
/// running ──SIGTERM or SIGINT──► stopping: in order, each member with its grace ──SIGTERM or SIGINT again──► killed
///    SIGHUP, SIGQUIT: forwarded, in any state
/// </code></remarks>
internal sealed class StopPolicy : IDisposable
{
    private readonly FamilyHost _host;
    private readonly PosixSignalRegistration[] _registrations;
    private bool _stopping;

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
        if (!Interlocked.Exchange(ref _stopping, true))
        {
            _host.Stop(Signal.SIGTERM, by);
        }
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
        if (Interlocked.Exchange(ref _stopping, true))
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
