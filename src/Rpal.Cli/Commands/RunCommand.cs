using System.CommandLine;
using System.CommandLine.Parsing;
using Rpal.Cli.Output;
using Rpal.Hosting;

namespace Rpal.Cli.Commands;

/// <summary><c>rpal run</c>: runs a family in the foreground.</summary>
internal static class RunCommand
{
    public const string Name = "run";

    private const double GraceSecondsDefault = 10, GraceSecondsLimit = 86_400;

    public static Command Create()
    {
        var programs = new Argument<string[]>("programs")
        {
            Description = "A ARGS -- B ARGS: programs with their arguments, which are theirs alone; or one word that ends in .json: a family file",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var accounting = new Option<bool>("--accounting") { Description = "Count the cycles that members spend in each other's services (family file: \"accounting\": true)" };
        var file = new Option<string?>("--file", "-f") { Description = "Family file, whatever its name", HelpName = "FILE" };
        var grace = new Option<double>("--grace")
        {
            Description = "Seconds that members have to end after SIGTERM or SIGINT before they are killed",
            HelpName = "SECONDS",
            DefaultValueFactory = _ => GraceSecondsDefault,
            CustomParser = r =>
            {
                if (double.TryParse(r.Tokens[0].Value, out double seconds) && seconds is >= 0 and <= GraceSecondsLimit)
                {
                    return seconds;
                }

                r.AddError($"--grace {r.Tokens[0].Value}: takes 0 to {GraceSecondsLimit} seconds.");
                return 0;
            },
        };
        var restart = new Option<RestartPolicy?>("--restart")
        {
            Description = "no, on-failure or always, for all members: whether they are started again",
            HelpName = "POLICY",
            CustomParser = r => Choose(r, FamilyFile.Restart),
        };
        var limit = new Option<int?>("--restart-limit") { Description = "Restarts in a row before a member is given up", HelpName = "N" };
        limit.Validators.Add(r =>
        {
            if (r.Tokens is [var word] && int.TryParse(word.Value, out int n) && n < 1)
            {
                r.AddError($"--restart-limit {word.Value}: takes 1 or more.");
            }
        });
        var onHostExit = new Option<HostExitPolicy?>("--on-host-exit")
        {
            Description = "stop, kill or continue: what becomes of the members when rpal itself is killed",
            HelpName = "WHAT",
            CustomParser = r => Choose(r, FamilyFile.OnHostExit),
        };
        var trace = new Option<bool>("--trace-members") { Description = "Even a member killed by SIGKILL hands back what it borrowed; costs 10 to 70 us a signal" };
        var noPrefix = new Option<bool>("--no-prefix") { Description = "Do not put member names before their lines" };
        var noColor = new Option<bool>("--no-color") { Description = "No colours, even on a terminal (NO_COLOR does the same)" };
        var json = new Option<bool>("--json") { Description = "One JSON object per event and line: started, ready, line, notice, action, ended, restarting, givenUp, summary" };

        var command = new Command(Name, "Runs programs as one family until all of them have ended. Exits as the first member that failed.")
        {
            file, grace, restart, limit, onHostExit, trace, noPrefix, noColor, json, programs,
        };
        command.SetAction(async parsed =>
        {
            FamilyDefinition Read()
            {
                FamilyDefinition defined = Define(parsed.GetValue(file), parsed.GetValue(programs) ?? []);
                return defined with
                {
                    OnHostExit = parsed.GetValue(onHostExit) ?? defined.OnHostExit,
                    TraceMembers = parsed.GetValue(trace) || defined.TraceMembers,
                    Members = [.. defined.Members.Select(m => m with { Restart = parsed.GetValue(restart) ?? m.Restart, RestartLimit = parsed.GetValue(limit) ?? m.RestartLimit })],
                };
            }

            FamilyDefinition family;
            try
            {
                family = Read();
            }
            catch (FormatException e)
            {
                return Problem.Report(ExitCode.Usage, e.Message);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return Problem.Report(ExitCode.NoInput, e.Message);
            }

            family = family with { Accounting = family.Accounting || parsed.GetValue(accounting) };
            bool colors = !parsed.GetValue(noColor);
            using var writer = new OutputWriter();
            IRunView view = parsed.GetValue(json)
                ? new JsonView(writer)
                : new TextView(writer, [.. family.Members.Select(m => m.Name)], !parsed.GetValue(noPrefix), colors && Terminal.HasColors(isError: false), colors && Terminal.HasColors(isError: true));
            var options = new FamilyHostOptions
            {
                Reload = family.File is null ? null : Read,
                StopGrace = TimeSpan.FromSeconds(parsed.GetValue(grace)),
                KeeperCommand = KeeperRole.Command(print: !parsed.GetValue(json)),
                Control = true,
            };
            return await RunAsync(family, view, writer, options).ConfigureAwait(false);
        });
        command.Options.Add(accounting);
        return command;
    }

    private static T? Choose<T>(ArgumentResult result, (string Word, T Value)[] choices)
        where T : struct
    {
        string word = result.Tokens[0].Value;
        foreach ((string name, T value) in choices)
        {
            if (name == word)
            {
                return value;
            }
        }

        result.AddError($"{word}: takes {string.Join(", ", choices.Select(c => c.Word))}.");
        return null;
    }

    private static FamilyDefinition Define(string? file, string[] words)
    {
        if (file is not null)
        {
            return words.Length == 0 ? FamilyDefinition.Load(file) : throw new FormatException($"--file {file} and the program {words[0]}: one or the other.");
        }

        return words switch
        {
            [] => throw new FormatException("No program given: rpal run A ARGS -- B ARGS, or rpal run family.json. See rpal run --help."),
            [var only] when only.EndsWith(".json", StringComparison.OrdinalIgnoreCase) => FamilyDefinition.Load(only),
            [var first, var second, ..] when first.EndsWith(".json", StringComparison.OrdinalIgnoreCase) =>
                throw new FormatException($"{first} is a family file and takes nothing behind it, but there is '{second}'. Options go before it; a program of that name goes by its path behind --."),
            _ => FamilyDefinition.FromCommandLines(words),
        };
    }

    private static async Task<int> RunAsync(FamilyDefinition family, IRunView view, OutputWriter writer, FamilyHostOptions options)
    {
        using var host = new FamilyHost(family, view, options);
        using var stop = new StopPolicy(host);
        writer.ReaderGone += () => stop.Begin("rpal: nobody reads its output any more");
        try
        {
            FamilyResult result = await host.RunAsync().ConfigureAwait(false);
            view.Summary(result);
            return result.ExitCode;
        }
        catch (MemberStartException e)
        {
            writer.Flush();
            return Problem.Report(e.ExitCode, e.Message);
        }
    }
}
