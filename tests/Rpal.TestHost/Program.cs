using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Rpal.Hosting;
using Rpal.Linux;
using Rpal.TestHost;

// Rpal.TestHost FAMILY.json [EVENTS-FILE]: runs the family and writes what happens as JSON lines, to standard output or the file.
// Standard input: "signal N" to all, "restart NAME", "restart-broken NAME", "lost NAME", "lost-slot SLOT GENERATION", "stop", "seal
// ADDRESS" (hexadecimal, a page that nobody can unmap), "not-dumpable", "quiet LABEL RUNNING" for an event with what this process holds.
// Environment: RPAL_TEST_CONFINED = docker | hardened (a container's seccomp filter) | untraced (no CAP_SYS_PTRACE), RPAL_TEST_OCCUPY =
// ADDRESS (hexadecimal, a page is mapped there before), RPAL_TEST_NOT_DUMPABLE = 1 (as a program with capabilities starts).
Confinement.EnterIfAsked(args);
if (Environment.GetEnvironmentVariable("RPAL_TEST_OCCUPY") is { } address)
{
    const int anonymousFixed = MapFlags.Private | MapFlags.Anonymous | MapFlags.FixedNoreplace;
    nint at = nint.Parse(address, NumberStyles.HexNumber, CultureInfo.InvariantCulture);
    if (Sys.Mmap(at, 4096, Prot.Read, anonymousFixed, -1, 0) != at)
    {
        return 3;
    }
}

if (Environment.GetEnvironmentVariable("RPAL_TEST_NOT_DUMPABLE") is not null)
{
    _ = Sys.Prctl(PrctlOp.SetDumpable, 0, 0, 0, 0);
}

using Stream target = args.Length > 1 ? new FileStream(args[1], FileMode.Append) : new FileStream(new SafeFileHandle(1, ownsHandle: false), FileAccess.Write);
var events = new EventWriter(target);
FamilyDefinition definition;
try
{
    definition = FamilyDefinition.Load(args[0]);
}
catch (Exception e) when (e is FormatException or IOException)
{
    events.Error(2, e.Message);
    return 2;
}

int exitCode;
using (var host = new FamilyHost(definition, events))
{
    var commands = new StreamReader(new FileStream(new SafeFileHandle(0, ownsHandle: false), FileAccess.Read));     // Console opens descriptors of its own later
    new Thread(() => Listen(host, commands, events)) { IsBackground = true, Name = "commands" }.Start();
    events.Resources("before");
    try
    {
        FamilyResult result = await host.RunAsync();
        exitCode = result.ExitCode;
        events.Result(exitCode);
    }
    catch (MemberStartException e)
    {
        exitCode = e.ExitCode;
        events.Error(exitCode, e.Message);
    }

    events.Settled("after");
}

return exitCode;

static void Listen(FamilyHost host, TextReader commands, EventWriter events)
{
    while (commands.ReadLine() is { } line)
    {
        switch (line.Split(' '))
        {
            case ["signal", var number]:
                host.Send(int.Parse(number));
                break;
            case ["restart", var member]:
                _ = host.RestartAsync(member);
                break;
            case ["restart-broken", var member]:                 // what no check has looked at
                _ = host.RestartAsync(member, new MemberDefinition { Name = member, Command = "/x\0y", Restart = RestartPolicy.OnFailure });
                break;
            case ["lost", var member]:
                host.RestartLost(member, "Lost a receiver");
                break;
            case ["lost-slot", var slot, var generation]:
                Family.GetOrCreate().ReceiverLost!(int.Parse(slot), ulong.Parse(generation), $"generation {generation}");
                break;
            case ["seal", var page]:
                events.Notice("rpal", Seal(nint.Parse(page, NumberStyles.HexNumber, CultureInfo.InvariantCulture)));
                break;
            case ["not-dumpable"]:
                events.Notice("rpal", $"PR_SET_DUMPABLE: {Sys.Prctl(PrctlOp.SetDumpable, 0, 0, 0, 0)}");
                break;
            case ["stop"]:
                host.Stop(15);
                break;
            case ["quiet", var label, var running, var mostDescriptors]:
                events.Quiet(label, int.Parse(running), int.Parse(mostDescriptors));
                break;
        }
    }
}

static string Seal(nint page)
{
    const int anonymousFixed = MapFlags.Private | MapFlags.Anonymous | MapFlags.FixedNoreplace;
    nint r = Sys.Mmap(page, 4096, Prot.Read, anonymousFixed, -1, 0);
    r = r < 0 ? r : Sys.Invoke(SyscallNumber.Mseal, page, 4096, 0);
    return r < 0 ? $"not sealed: {ErrnoText.Describe((int)r)}" : "sealed";
}
