using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using Rpal.Cli.Bench;
using Rpal.Cli.Commands;
using Rpal.Cli.Torture;

namespace Rpal.Cli;

/// <summary>The command line as a whole: its commands, how it is parsed, how its errors look.</summary>
internal static class RpalCommandLine
{
    /// <summary>Of the launcher; the assembly has another, see the project file.</summary>
    private const string Name = "rpal";

    /// <summary>The commands. A new one is added here and nowhere else.</summary>
    private static Command[] Commands() => [RunCommand.Create(), PsCommand.Create(), LogsCommand.Create(), MemberCommands.Stop(), MemberCommands.Restart(), MemberCommands.Kill(), DemoCommand.Create(), BenchCommands.Create(), TortureCommand.Create(), DoctorCommand.Create()];

    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(string[] args)
    {
        var root = new Command(Name, "Runs programs as one family: processes that share an address space and call each other like functions.")
        {
            new HelpOption { Action = new HelpText() }, new VersionOption(),
        };
        foreach (Command command in Commands())
        {
            root.Add(command);
        }

        NumberOptions.Explain(root);
        string[] words;
        try
        {
            words = ProgramWords.Shield(root, args);
        }
        catch (FormatException e)
        {
            return Problem.Report(ExitCode.Usage, e.Message);
        }

        ParseResult parsed = CommandLineParser.Parse(root, words, new ParserConfiguration { ResponseFileTokenReplacer = null });
        if (parsed.Errors.Count > 0)
        {
            string command = parsed.CommandResult.Command == root ? Name : $"{Name} {parsed.CommandResult.Command.Name}";
            string message = parsed.UnmatchedTokens is [var word, ..] ? $"{word}: no such command or option."
                : MissingIn(parsed) ?? parsed.Errors[0].Message;
            return Problem.Report(ExitCode.Usage, $"{message} See {command} --help.");
        }

        // Signals belong to the members: the library's own handling would end the process under them.
        return await parsed.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null, EnableDefaultExceptionHandler = false }).ConfigureAwait(false);
    }

    /// <returns>Which argument a command needs and has not got, or null.</returns>
    private static string? MissingIn(ParseResult parsed)
    {
        CommandResult command = parsed.CommandResult;
        Argument? missing = command.Command.Arguments.FirstOrDefault(a =>
            a.Arity.MinimumNumberOfValues > (command.GetResult(a)?.Tokens.Count ?? 0));
        return missing is null ? null
            : $"{command.Command.Name} needs {missing.HelpName ?? missing.Name}, "
            + $"the {char.ToLowerInvariant(missing.Description![0])}{missing.Description[1..]}.";
    }

    /// <summary>The library's help, with run's usage line as it is: options only come before the first program.</summary>
    private sealed class HelpText : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;          // whoever asks for help need not give what the command requires

        public override int Invoke(ParseResult parseResult)
        {
            InvocationConfiguration configuration = parseResult.InvocationConfiguration;
            TextWriter output = configuration.Output;
            using var text = new StringWriter();
            configuration.Output = text;
            int exitCode = new HelpAction().Invoke(parseResult);
            configuration.Output = output;
            output.Write(text.ToString().Replace("run [<programs>...] [options]", "run [options] <programs>", StringComparison.Ordinal));
            return exitCode;
        }
    }
}
