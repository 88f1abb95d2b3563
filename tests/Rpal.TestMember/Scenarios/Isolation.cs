using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Runtime.Loader;
using System.Security.Principal;
using Rpal.Machine.Blocks;

namespace Rpal.TestMember.Scenarios;

/// <summary>What a handler can leave behind in its thread, and must not find there from an earlier call.</summary>
[Flags]
internal enum Traces
{
    None = 0, Local = 1, Culture = 2, UICulture = 4, Principal = 8, Activity = 16, SynchronizationContext = 32, Name = 64,
    Priority = 128, Foreground = 256,
    FlowSuppressed = 512, HandledLocal = 1024,
    Everything = 2047,
}

/// <summary>Calls that know nothing of each other, and processes that keep to themselves.</summary>
internal static class Isolation
{
    private const string LeftName = "left by a handler";

    private static readonly AsyncLocal<string?> s_local = new(), s_setByHandler = new();

    /// <summary>Taken away, it leaves another one.</summary>
    private static readonly AsyncLocal<string?> s_handled = new(static change =>
    {
        if (change.ThreadContextChanged && change.CurrentValue is null)
        {
            s_setByHandler.Value = "left";
        }
    });

    public static void Add(Dictionary<string, Func<string[], int>> scenarios)
    {
        scenarios.Add("serve-in-a-context", args =>
        {
            Leave(Traces.Local | Traces.Culture | Traces.Principal | Traces.Activity);
            StandardService.Serve("work", 1);
            return 0;
        });
        scenarios.AddCaller("leaves-no-traces", LeavesNoTraces);
        scenarios.AddCaller("second-copy", _ => SecondCopy());
        scenarios.AddCaller("strays", Stray);
    }

    /// <summary>Leaves the traces that are asked for. Some at home: a thread's name and priority need the kernel.</summary>
    public static long Leave(Traces traces)
    {
        Thread self = Thread.CurrentThread;
        foreach ((Traces trace, Action leave) in (ReadOnlySpan<(Traces, Action)>)
        [
            (Traces.Local, static () => s_local.Value = "left"),
            (Traces.HandledLocal, static () => s_handled.Value = "left"),
            (Traces.Culture, static () => CultureInfo.CurrentCulture = OtherCulture()),
            (Traces.UICulture, static () => CultureInfo.CurrentUICulture = OtherCulture()),
            (Traces.Principal, static () => Thread.CurrentPrincipal = new GenericPrincipal(new GenericIdentity("left"), null)),
            (Traces.Activity, static () => Activity.Current = new Activity("left").Start()),
            (Traces.SynchronizationContext, static () => System.Threading.SynchronizationContext.SetSynchronizationContext(new())),
            (Traces.Name, () => self.Name = LeftName),
            (Traces.Priority, () => self.Priority = ThreadPriority.AboveNormal),
            (Traces.Foreground, () => self.IsBackground = false),
            (Traces.FlowSuppressed, static () => ExecutionContext.SuppressFlow()),
        ])
        {
            if ((traces & trace) != 0)
            {
                leave();
            }
        }

        return (long)See();
    }

    /// <summary>The traces that are there.</summary>
    public static Traces See()
    {
        Thread self = Thread.CurrentThread;
        return If(s_local.Value is not null, Traces.Local)
            | If(s_handled.Value is not null || s_setByHandler.Value is not null, Traces.HandledLocal)
            | If(IsOther(CultureInfo.CurrentCulture), Traces.Culture)
            | If(IsOther(CultureInfo.CurrentUICulture), Traces.UICulture)
            | If(Thread.CurrentPrincipal is not null, Traces.Principal)
            | If(Activity.Current is not null, Traces.Activity)
            | If(System.Threading.SynchronizationContext.Current is not null, Traces.SynchronizationContext)
            | If(self.Name == LeftName, Traces.Name)
            | If(self.Priority != ThreadPriority.Normal, Traces.Priority)
            | If(!self.IsBackground, Traces.Foreground)
            | If(ExecutionContext.IsFlowSuppressed(), Traces.FlowSuppressed);
    }

    /// <summary>In a handler: the thread that executes it forgets that it does, as one does whose block is another's.</summary>
    public static unsafe long ForgetTheCaller()
    {
        for (int i = 0; i < FamilyLayout.ReceiverCapacity; i++)
        {
            ReceiverBlock* r = MemberBlock.Receiver(Rpal.Internal.MemberRuntime.Member->Index, i);
            if (r->State == ReceiverState.Foreign)
            {
                r->Sender->Current = null;
            }
        }

        return 0;
    }

    /// <summary>In a handler: what a library does that has GS for itself. Needs the kernel, so it happens at home.</summary>
    public static unsafe long TakeGs()
    {
        const int archPrctl = 158, setGs = 0x1001;
        return Rpal.Linux.Sys.Invoke(archPrctl, setGs, (nint)System.Runtime.InteropServices.NativeMemory.AllocZeroed(4096));
    }

    private static void LeavesNoTraces(RpalConnection work)
    {
        Check.Equal(Traces.None, (Traces)work.Do(Deed.SeeTraces));
        foreach (Traces trace in Enum.GetValues<Traces>())
        {
            foreach (Deed way in (ReadOnlySpan<Deed>)[Deed.LeaveTraces, Deed.LeaveTracesAndThrow, Deed.LeaveTracesAtHome])
            {
                if (way == Deed.LeaveTracesAndThrow)
                {
                    Check.Throws<RemoteCallException>(() => work.Do(way, (long)trace));
                }
                else
                {
                    Check.Equal(trace, (Traces)work.Do(way, (long)trace));       // it was there
                }

                Check.Equal(Traces.None, (Traces)work.Do(Deed.SeeTraces), $"after {way} of {trace}");
                Check.Equal("work receiver 0", Name(work));
            }
        }
    }

    /// <summary>The handler goes home while it needs the kernel to be compiled; later it does not, and it is this thread that
    /// forgets.</summary>
    private static void Stray(RpalConnection work)
    {
        for (int i = 0; i < 1000; i++)
        {
            work.Do(Deed.ForgetTheCaller);
        }

        throw new ScenarioFailedException("this process should have ended itself");
    }

    private static string Name(RpalConnection work)
    {
        byte[] name = new byte[64];
        Check.Equal(CallStatus.Answered, work.Call(Methods.ThreadName, [], name, out int length, Calls.Soon));
        return System.Text.Encoding.UTF8.GetString(name, 0, length);
    }

    private static void SecondCopy()
    {
        Assembly copy = new AssemblyLoadContext("plug-in").LoadFromAssemblyPath(typeof(RpalService).Assembly.Location);
        MethodInfo register = copy.GetType(typeof(RpalService).FullName!, throwOnError: true)!.GetMethod(nameof(RpalService.Register))!;
        Exception refused = Check.Throws<TargetInvocationException>(() => register.Invoke(null, ["copied", null])).InnerException!;
        Check.Equal(typeof(RpalException).FullName, refused.GetType().FullName);
        Check.That(refused.Message.StartsWith("Another copy of the Rpal library serves this process already", StringComparison.Ordinal),
            refused.Message);
    }

    private static CultureInfo OtherCulture()
    {
        var other = (CultureInfo)CultureInfo.InvariantCulture.Clone();
        other.NumberFormat.NumberDecimalSeparator = "left";
        return other;
    }

    private static bool IsOther(CultureInfo culture) => culture.NumberFormat.NumberDecimalSeparator == "left";

    private static Traces If(bool there, Traces trace) => there ? trace : Traces.None;
}
