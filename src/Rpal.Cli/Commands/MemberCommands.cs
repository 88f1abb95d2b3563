using System.CommandLine;
using Rpal.Cli.Control;
using Rpal.Hosting.Control;
using Rpal.Linux;

namespace Rpal.Cli.Commands;

/// <summary><c>rpal stop</c>, <c>restart</c> and <c>kill</c>: they ask the host and return when it has understood.</summary>
internal static class MemberCommands
{
    public static Command Stop()
    {
        Option<int?> host = HostOption.Create();
        var member = new Argument<string?>("member") { Description = "Name of the member to stop; the whole family without", HelpName = "NAME", Arity = ArgumentArity.ZeroOrOne };
        var command = new Command("stop", "Stops one member, which stays down, or the family: SIGTERM, and SIGKILL after the grace.") { host, member };
        command.SetAction(parsed => HostOption.With(parsed.GetValue(host), c => c.Ask(new ControlRequest("stop") { Member = parsed.GetValue(member) })));
        return command;
    }

    public static Command Restart()
    {
        Option<int?> host = HostOption.Create();
        Argument<string> member = HostOption.Member("replace");
        var program = new Argument<string[]>("program")
        {
            Description = "-- PROGRAM ARGS: another program in its place, until the family ends. Without: as the family file has it now",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var command = new Command("restart", "Stops one member and starts it anew in another slot, while the others go on calling. Reads the family file again.") { host, member, program };
        command.SetAction(parsed => HostOption.With(parsed.GetValue(host), c =>
            c.Ask(new ControlRequest("restart") { Member = parsed.GetValue(member), Command = parsed.GetValue(program) is { Length: > 0 } words ? words : null })));
        return command;
    }

    public static Command Kill()
    {
        Option<int?> host = HostOption.Create();
        Argument<string> member = HostOption.Member("signal");
        var signal = new Option<int>("--signal", "-s")
        {
            Description = "Name or number",
            HelpName = "SIGNAL",
            DefaultValueFactory = _ => Signal.SIGKILL,
            CustomParser = r =>
            {
                if (SignalName.NumberOf(r.Tokens[0].Value) is { } number)
                {
                    return number;
                }

                r.AddError($"--signal {r.Tokens[0].Value}: takes a name as in kill -l, or a number from 1 to 64.");
                return 0;
            },
        };
        var command = new Command("kill", "Sends one member a signal, SIGKILL unless told otherwise. Its restart policy applies.") { host, signal, member };
        command.SetAction(parsed => HostOption.With(parsed.GetValue(host), c => c.Ask(new ControlRequest("kill") { Member = parsed.GetValue(member), Signal = parsed.GetValue(signal) })));
        return command;
    }
}
